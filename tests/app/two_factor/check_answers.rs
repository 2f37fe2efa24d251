//! Twilio's answers to the check of a code, as the user sees them. See `hostile_twilio` too.

use twostep::dev::simulator::Failure;

use super::{assert_gone, pending_login, register_and_log_in};
use crate::support::{PASSWORD, PHONE};

const UNAVAILABLE: &str = "We couldn't check the code. Try again.";
const EXPIRED: &str = "That code has expired. Ask for a new one.";

#[tokio::test]
async fn an_attempt_stays_counted_if_the_code_could_not_be_checked() {
    let (app, browser) = pending_login("harry").await;
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
async fn a_code_that_ended_at_twilio_has_expired_and_another_can_be_requested() {
    for answer in [
        Failure::Status(404, Some(20404)),
        Failure::CheckStatus("expired"),
        Failure::CheckStatus("canceled"),
        Failure::CheckStatus("deleted"),
        Failure::CheckStatus("failed"),
    ] {
        let (app, browser) = pending_login("harry").await;
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&app.last_code()).await;
        assert_eq!(page.status, 422, "{answer:?}");
        assert_eq!(
            page.error_at("token").as_deref(),
            Some(EXPIRED),
            "{answer:?}"
        );
        app.phone().fail_with(None);
        app.advance(30);
        browser.request_code("/verify_2fa/resend").await;
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn too_many_wrong_codes_at_twilio_close_the_challenge() {
    for answer in [
        Failure::Status(429, Some(60202)),
        Failure::CheckStatus("max_attempts_reached"),
    ] {
        let (app, browser) = pending_login("harry").await;
        let code = app.last_code();
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&code).await;
        assert_eq!(page.status, 422, "{answer:?}");
        assert!(page.says("Invalid token"));
        let links = page.attributes("main a", "href");
        assert_eq!(links, ["/login", "/login?recovery=1"]);
        app.phone().fail_with(None);
        assert_gone(&browser, &code).await;
    }
}

#[tokio::test]
async fn a_failed_check_adds_no_phone_and_does_not_reauthenticate() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(PHONE).await;
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
    let fields = [("password", PASSWORD), ("next", "/disable_2fa")];
    browser
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    for answer in [Failure::OtherSid, Failure::PendingButValid] {
        app.phone().fail_with(Some(answer));
        let page = browser.verify(&app.last_code()).await;
        assert!(matches!(page.status, 422 | 503), "{answer:?}");
        let page = browser.get("/disable_2fa").await;
        page.redirects_to("/reauth?next=%2Fdisable_2fa");
    }
}
