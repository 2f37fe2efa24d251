//! What Twilio may answer to "check this code", as the person sees it.

use twostep::dev::simulator::Failure;

use super::{assert_gone, assert_invalid_token};
use crate::support::{PHONE, TestApp};

const UNAVAILABLE: &str = "We could not check the code. Try again.";
const EXPIRED: &str = "That code has expired. Ask for a new one.";

const OUT_OF_REACH: [Failure; 11] = [
    Failure::Status(400, Some(60200)),
    Failure::Status(401, Some(20003)),
    Failure::Status(403, Some(20003)),
    Failure::Status(429, Some(20429)),
    Failure::Status(500, None),
    Failure::Status(503, Some(20503)),
    Failure::Silence,
    Failure::Hangup,
    Failure::Garbage,
    Failure::Redirect,
    Failure::OtherTo,
];

/// ASVS 16.5.2
#[tokio::test]
async fn where_a_code_cannot_be_checked_it_is_503_and_the_same_code_works_later() {
    for answers in OUT_OF_REACH.chunks(4) {
        let app = TestApp::start().await;
        app.with_two_factor("harry", PHONE).await;
        let browser = app.half_logged_in("harry").await;
        let code = app.last_code();
        for answer in answers {
            app.phone().fail_with(Some(*answer));
            let page = browser.verify(&code).await;
            assert_eq!(page.status, 503, "{answer:?}");
            let error = page.error_at("token");
            assert_eq!(error.as_deref(), Some(UNAVAILABLE), "{answer:?}");
            assert!(!browser.is_logged_in().await, "{answer:?}");
        }
        app.phone().fail_with(None);
        browser.verify(&code).await.redirects_to("/home");
        assert_eq!(app.phone().counters().followed, 0);
    }
}

#[tokio::test]
async fn a_code_that_could_not_be_checked_stays_counted() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let code = app.last_code();
    app.phone().fail_with(Some(Failure::Status(500, None)));
    for _ in 0..5 {
        assert_eq!(browser.verify(&code).await.status, 503);
    }
    app.phone().fail_with(None);
    let checks = app.phone().counters().checks;
    assert_gone(&browser, &code).await;
    assert_eq!(app.phone().counters().checks, checks);
}

#[tokio::test]
async fn a_code_that_twilio_has_forgotten_is_said_to_have_expired_and_another_can_be_had() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let answer = Failure::Status(404, Some(20404));
    app.phone().fail_with(Some(answer));
    let page = browser.verify(&app.last_code()).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.error_at("token").as_deref(), Some(EXPIRED));
    app.phone().fail_with(None);
    app.advance(30);
    let page = browser.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/verify_2fa");
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn where_twilio_counted_too_many_wrong_codes_one_begins_again() {
    for answer in [
        Failure::Status(429, Some(60202)),
        Failure::Status(429, None),
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("harry", PHONE).await;
        let browser = app.half_logged_in("harry").await;
        let code = app.last_code();
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&code).await;
        assert_eq!(page.status, 422);
        assert!(page.says("Invalid token"));
        assert_eq!(page.attributes("main a", "href"), ["/login"]);
        app.phone().fail_with(None);
        assert_gone(&browser, &code).await;
    }
}

/// ASVS 16.5.3
#[tokio::test]
async fn pending_is_a_wrong_code_whatever_else_is_said() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    app.phone().fail_with(Some(Failure::PendingButValid));
    assert_invalid_token(&browser.verify(&app.last_code()).await);
    assert!(!browser.is_logged_in().await);
}

/// The same while enabling and at a re-authentication: a page, no change.
#[tokio::test]
async fn a_failing_check_enables_nothing_and_proves_nothing() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let code = app.last_code();
    for answer in [Failure::OtherSid, Failure::Garbage, Failure::OtherTo] {
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&code).await;
        assert_eq!(page.status, 503, "{answer:?}");
        assert!(page.says(UNAVAILABLE));
        assert_eq!(app.phone_of("harry").await, None);
    }
    app.phone().fail_with(None);
    assert_eq!(browser.verify(&code).await.status, 200);

    app.advance(600);
    let fields = [
        ("password", crate::support::PASSWORD),
        ("next", "/disable_2fa"),
    ];
    browser
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    for answer in [Failure::OtherSid, Failure::PendingButValid] {
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&app.last_code()).await;
        assert!(matches!(page.status, 422 | 503), "{answer:?}");
        browser
            .get("/disable_2fa")
            .await
            .redirects_to("/reauth?next=%2Fdisable_2fa");
    }
}
