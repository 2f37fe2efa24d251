//! Twilio as a hostile peer, and others who go on working meanwhile.

use twostep::dev::simulator::Failure;

use super::wrong;
use crate::support::{PASSWORD, PHONE, TestApp};

const FAILURES: [Failure; 9] = [
    Failure::Status(500, None),
    Failure::Status(200, None),
    Failure::Silence,
    Failure::Hangup,
    Failure::Garbage,
    Failure::Redirect,
    Failure::PendingButValid,
    Failure::OtherTo,
    Failure::OtherSid,
];

/// ASVS 15.3.2, 16.5.2, 16.5.3
#[tokio::test]
async fn attack_20_a_hostile_twilio_that_checks_codes_logs_nobody_in() {
    for failure in FAILURES {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        app.register("bob").await;
        let alice = app.half_logged_in("alice").await;
        let code = app.last_code();
        let log_ins = app.log_ins().await;

        app.phone().fail_with(Some(failure));
        for token in [&code, &wrong(&code)] {
            let page = alice.verify(token).await;
            assert!(
                matches!(page.status, 422 | 503),
                "{failure:?}: {}",
                page.status
            );
            assert!(!alice.is_logged_in().await, "{failure:?}");
        }
        assert_eq!(app.log_ins().await, log_ins, "{failure:?}");
        assert_eq!(app.phone().counters().followed, 0);
        let bob = app.browser();
        bob.log_in("bob", PASSWORD).await.redirects_to("/home");

        app.phone().fail_with(None);
        alice.verify(&code).await.redirects_to("/home");
    }
}

/// ASVS 15.3.2, 16.5.2
#[tokio::test]
async fn attack_20_a_hostile_twilio_that_sends_codes_logs_nobody_in() {
    for failure in FAILURES {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        app.register("bob").await;
        let (log_ins, followed) = (app.log_ins().await, app.phone().counters().followed);

        app.phone().fail_with(Some(failure));
        let alice = app.half_logged_in("alice").await;
        assert_eq!(alice.get("/verify_2fa").await.status, 200, "{failure:?}");
        app.advance(30);
        for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
            let page = alice.post(path, &[]).await;
            assert!(matches!(page.status, 303 | 429 | 503), "{failure:?}");
        }
        for token in ["123456", &app.last_code()] {
            let page = alice.verify(token).await;
            assert!(
                matches!(page.status, 422 | 503),
                "{failure:?}: {}",
                page.status
            );
        }
        assert!(!alice.is_logged_in().await, "{failure:?}");
        assert_eq!(app.log_ins().await, log_ins, "{failure:?}");
        assert_eq!(app.phone().counters().followed, followed);
        let bob = app.browser();
        bob.log_in("bob", PASSWORD).await.redirects_to("/home");

        // Back to its senses; the verification that was opened still serves.
        app.phone().fail_with(None);
        app.advance(30);
        let page = alice.post("/verify_2fa/resend", &[]).await;
        page.redirects_to("/verify_2fa");
        alice.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn attack_20_a_twilio_that_cancels_nothing_holds_nobody_up() {
    for failure in [
        Failure::Status(500, None),
        Failure::Hangup,
        Failure::Garbage,
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        let first = app.half_logged_in("alice").await;
        app.phone().fail_with(Some(failure));
        let page = first.post("/verify_2fa/cancel", &[]).await;
        page.redirects_to("/login");
        let page = first.verify(&app.last_code()).await;
        page.redirects_to("/login?next=%2Fhome");
        assert_eq!(app.open_verifications().await, 0);
    }
}
