//! Twilio as a hostile peer, while other users go on working.

use twostep::dev::simulator::Failure;

use super::wrong;
use crate::support::{PHONE, TestApp};

/// Each failure, and the status and error of the answer to a code.
const FAILURES: [(Failure, u16, &str); 17] = {
    const UNAVAILABLE: &str = "We couldn't check the code. Try again.";
    [
        (Failure::Status(200, None), 503, UNAVAILABLE),
        (Failure::Status(400, Some(60200)), 503, UNAVAILABLE),
        (Failure::Status(401, Some(20003)), 503, UNAVAILABLE),
        (Failure::Status(403, Some(20003)), 503, UNAVAILABLE),
        (Failure::Status(429, None), 503, UNAVAILABLE),
        (Failure::Status(429, Some(20429)), 503, UNAVAILABLE),
        (Failure::Status(500, None), 503, UNAVAILABLE),
        (Failure::Status(503, Some(20503)), 503, UNAVAILABLE),
        (Failure::Silence, 503, UNAVAILABLE),
        (Failure::Hangup, 503, UNAVAILABLE),
        (Failure::Garbage, 503, UNAVAILABLE),
        (Failure::Redirect, 503, UNAVAILABLE),
        (Failure::OtherTo, 503, UNAVAILABLE),
        (Failure::OtherSid, 503, UNAVAILABLE),
        (Failure::CheckStatus("Approved"), 503, UNAVAILABLE),
        (
            Failure::CheckStatus("expired"),
            422,
            "That code has expired. Ask for a new one.",
        ),
        (Failure::PendingButValid, 422, "Invalid token"),
    ]
};

/// ASVS 15.3.2, 16.5.2, 16.5.3
#[tokio::test]
async fn attack_20_a_hostile_twilio_that_checks_codes_logs_nobody_in() {
    for failures in FAILURES.chunks(2) {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        app.register("bob").await;
        let alice = app.log_in_until_code("alice").await;
        let code = app.last_code();
        let logins = app.logins().await;
        for (failure, status, error) in failures {
            app.phone().fail_with(Some(*failure));
            for token in [&code, &wrong(&code)] {
                let page = alice.verify(token).await;
                assert_eq!(page.status, *status, "{failure:?}");
                assert_eq!(page.error_at("token").as_deref(), Some(*error));
                assert!(!alice.is_logged_in().await, "{failure:?}");
            }
            assert_eq!(app.logins().await, logins, "{failure:?}");
            assert_eq!(app.phone().counters().followed, 0);
            let bob = app.browser();
            bob.complete_login("bob").await;
            bob.post("/logout", &[]).await.redirects_to("/login");
        }
        app.phone().fail_with(None);
        alice.verify(&code).await.redirects_to("/home");
    }
}

/// ASVS 15.3.2, 16.5.2
#[tokio::test]
async fn attack_20_a_hostile_twilio_that_sends_codes_logs_nobody_in() {
    for failure in [
        Failure::Status(500, None),
        Failure::Status(200, None),
        Failure::Silence,
        Failure::Hangup,
        Failure::Garbage,
        Failure::Redirect,
        Failure::PendingButValid,
        Failure::OtherTo,
        Failure::OtherSid,
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        app.register("bob").await;
        let (logins, followed) = (app.logins().await, app.phone().counters().followed);

        app.phone().fail_with(Some(failure));
        let alice = app.log_in_until_code("alice").await;
        assert_eq!(alice.get("/verify_2fa").await.status, 200, "{failure:?}");
        app.advance(30);
        for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
            let page = alice.post(path, &[]).await;
            assert!(matches!(page.status, 303 | 429 | 503), "{failure:?}");
        }
        for token in ["123456", &app.last_code()] {
            let status = alice.verify(token).await.status;
            assert!(matches!(status, 422 | 503), "{failure:?}: {status}");
        }
        assert!(!alice.is_logged_in().await, "{failure:?}");
        assert_eq!(app.logins().await, logins, "{failure:?}");
        assert_eq!(app.phone().counters().followed, followed);
        let bob = app.browser();
        bob.complete_login("bob").await;

        // The open challenge works again once Twilio does.
        app.phone().fail_with(None);
        app.advance(30);
        alice.request_code("/verify_2fa/resend").await;
        alice.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn attack_20_a_twilio_that_cancels_nothing_does_not_keep_a_challenge_open() {
    for failure in [
        Failure::Status(500, None),
        Failure::Hangup,
        Failure::Garbage,
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        let first = app.log_in_until_code("alice").await;
        app.phone().fail_with(Some(failure));
        let page = first.post("/verify_2fa/cancel", &[]).await;
        page.redirects_to("/login");
        let page = first.verify(&app.last_code()).await;
        page.redirects_to("/login?next=%2Fhome");
        assert_eq!(app.open_challenges().await, 0);
    }
}
