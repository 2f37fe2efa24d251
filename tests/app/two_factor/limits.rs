//! The limits of sending a code, each at its last permitted send and the next.

use twostep::dev::simulator::LANDLINE;
use twostep::services::twilio_verify::Channel;

use super::{assert_retry_after, pending_login, register_and_log_in, two_factor_app, wrong};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, THIRD_PHONE, TestApp};

const RESEND: &str = "/verify_2fa/resend";
const CALL: &str = "/verify_2fa/call";

/// ASVS 2.3.2
#[tokio::test]
async fn another_code_is_sent_after_30_seconds_and_not_after_29() {
    let (app, browser) = pending_login("harry").await;
    let sent = app.messages_sent();
    for (seconds, wait, text) in [(0, "30", "30 seconds"), (29, "1", "1 second")] {
        app.advance(seconds);
        let shown = browser.get("/verify_2fa").await;
        assert_eq!(
            shown.attributes("[data-countdown]", "data-countdown"),
            [wait]
        );
        assert!(
            shown
                .text()
                .contains(&format!("You can ask for another in {text}."))
        );
        for path in [RESEND, CALL] {
            let page = browser.post(path, &[]).await;
            assert_retry_after(&page, wait);
            assert!(page.says(&format!("You can ask for another in {text}.")));
            assert!(
                page.says("We texted a code to •••• 267"),
                "the first code still works"
            );
        }
    }
    assert_eq!(app.messages_sent(), sent);
    app.advance(1);
    browser.request_code(RESEND).await;
    assert_eq!(app.messages_sent(), sent + 1);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 2.3.2
#[tokio::test]
async fn a_challenge_sends_three_codes_and_no_fourth() {
    let (app, browser) = pending_login("harry").await;
    let sent = app.messages_sent();
    for _ in 0..2 {
        app.advance(30);
        browser.request_code(RESEND).await;
    }
    assert_eq!(app.messages_sent(), sent + 2);
    app.advance(30);
    for path in [RESEND, CALL] {
        let page = browser.post(path, &[]).await;
        assert_retry_after(&page, "510");
        assert!(page.says("We can't send any more codes. Cancel and start again."));
    }
    assert_eq!(app.messages_sent(), sent + 2);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_challenge_makes_one_requested_call_and_no_second() {
    let (app, browser) = pending_login("harry").await;
    app.advance(30);
    browser.request_code(CALL).await;
    assert_eq!(app.last_message().channel, Channel::Call);
    let page = browser.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We are calling •••• 267 with your code"]);

    app.advance(30);
    let sent = app.messages_sent();
    let page = browser.post(CALL, &[]).await;
    assert_retry_after(&page, "540");
    assert!(page.says("We already called you once. Ask for a text message instead."));
    assert_eq!(app.messages_sent(), sent);
    browser.request_code(RESEND).await;
    assert_eq!(app.last_message().channel, Channel::Sms);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_fallback_call_counts_as_one_send_and_not_as_the_requested_call() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    app.log_in_until_code("harry").await;
    let calls = "SELECT sends * 10 + calls FROM challenges WHERE closed_at IS NULL";
    assert_eq!(app.count(calls).await, 10);
}

#[tokio::test]
async fn no_limit_of_sends_applies_to_demo_numbers() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    let browser = app.log_in_until_code("harry").await;
    let sent = app.messages_sent();
    for _ in 0..4 {
        browser.request_code(RESEND).await;
        browser.request_code(CALL).await;
    }
    assert_eq!(app.messages_sent(), sent + 8);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn the_pause_between_sends_holds_for_a_number_in_all_sessions_of_a_user() {
    let (app, browser) = register_and_log_in("harry").await;
    let elsewhere = app.browser();
    elsewhere
        .log_in("harry", PASSWORD)
        .await
        .redirects_to("/home");
    browser.add_phone(PHONE).await;
    for (seconds, wait, text) in [(0, "30", "30 seconds"), (29, "1", "1 second")] {
        app.advance(seconds);
        let page = elsewhere.enable(PHONE).await;
        assert_retry_after(&page, wait);
        let sentence = "You asked for a code a moment ago. You can ask for another in";
        assert!(page.says(&format!("{sentence} {text}.")));
        let kept = page.value_of("verification_phone");
        assert_eq!(kept.as_deref(), Some(PHONE));
        assert_eq!(app.messages_sent(), 1);
    }
    // Not for another number, which may be the corrected one, nor for another user.
    browser.add_phone(OTHER_PHONE).await;
    let other = app.register_and_log_in("ginny").await;
    other.add_phone(THIRD_PHONE).await;
    app.advance(1);
    elsewhere.add_phone(PHONE).await;
    assert_eq!(app.messages_sent(), 4);
    assert_eq!(elsewhere.verify(&app.last_code()).await.status, 200);
}

#[tokio::test]
async fn a_login_whose_code_is_held_back_opens_the_code_page_with_the_wait() {
    let (app, browser) = pending_login("harry").await;
    let code = app.last_code();
    for _ in 0..5 {
        browser.verify(&wrong(&code)).await;
    }
    let sent = app.messages_sent();
    app.advance(12);
    let again = app.log_in_until_code("harry").await;
    assert_eq!(app.messages_sent(), sent);
    let page = again.get("/verify_2fa").await;
    assert!(page.says("You can ask for another in 18 seconds."));
    assert!(page.all("input[name=token]").is_empty(), "no code was sent");
    // The code that was guessed five times no longer works.
    let checks = app.phone().counters().checks;
    let page = again.verify(&code).await;
    assert_eq!(page.status, 422);
    assert_eq!(app.phone().counters().checks, checks, "Twilio was asked");
    assert!(page.says("That code has expired. Ask for a new one."));

    let page = again.post(RESEND, &[]).await;
    assert_retry_after(&page, "18");
    app.advance(18);
    let page = again.get("/verify_2fa").await;
    assert!(page.says("You can ask for a code now."));
    again.request_code(RESEND).await;
    again.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn the_right_code_ends_the_pause_between_sends() {
    let app = two_factor_app("harry").await;
    for _ in 0..8 {
        let sent = app.messages_sent();
        let browser = app.log_in_until_code("harry").await;
        assert_eq!(app.messages_sent(), sent + 1);
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn loading_the_page_again_sends_nothing() {
    let (app, browser) = pending_login("harry").await;
    let before = app.phone().counters();
    for _ in 0..3 {
        app.advance(40);
        assert_eq!(browser.get("/verify_2fa").await.status, 200);
        assert_eq!(browser.head("/verify_2fa").await.status, 200);
        for path in [RESEND, CALL, "/verify_2fa/cancel"] {
            assert_eq!(browser.get(path).await.status, 405);
        }
    }
    assert_eq!(app.phone().counters(), before);
}
