//! How often a code is sent, at each limit and one beyond.

use twostep::dev::simulator::LANDLINE;
use twostep::services::twilio_verify::Channel;

use super::wrong;
use crate::support::{OTHER_PHONE, PHONE, THIRD_PHONE, TestApp};

const RESEND: &str = "/verify_2fa/resend";
const CALL: &str = "/verify_2fa/call";

/// ASVS 2.3.2
#[tokio::test]
async fn another_code_can_be_had_after_30_seconds_and_not_after_29() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let sent = app.messages_sent();
    for (seconds, wait, words) in [(0, "30", "30 seconds"), (29, "1", "1 second")] {
        app.advance(seconds);
        let shown = browser.get("/verify_2fa").await;
        assert_eq!(
            shown.attributes("[data-countdown]", "data-countdown"),
            [wait]
        );
        assert!(
            shown
                .text()
                .contains(&format!("You can ask for another in {words}."))
        );
        for path in [RESEND, CALL] {
            let page = browser.post(path, &[]).await;
            assert_eq!((page.status, page.header("retry-after")), (429, Some(wait)));
            assert!(page.says(&format!("You can ask for another in {words}.")));
            assert!(page.says("We texted a code to •••• 267"), "it still stands");
        }
    }
    assert_eq!(app.messages_sent(), sent);
    app.advance(1);
    browser.post(RESEND, &[]).await.redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), sent + 1);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 2.3.2
#[tokio::test]
async fn a_verification_sends_three_codes_and_no_fourth() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let sent = app.messages_sent();
    for _ in 0..2 {
        app.advance(30);
        browser.post(RESEND, &[]).await.redirects_to("/verify_2fa");
    }
    assert_eq!(app.messages_sent(), sent + 2);
    app.advance(30);
    for path in [RESEND, CALL] {
        let page = browser.post(path, &[]).await;
        let found = (page.status, page.header("retry-after"));
        assert_eq!(found, (429, Some("510")), "the rest of ten minutes");
        assert!(page.says("We can't send any more codes. Cancel and start again."));
    }
    assert_eq!(app.messages_sent(), sent + 2);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_verification_calls_once_when_asked_and_not_twice() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    app.advance(30);
    browser.post(CALL, &[]).await.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().channel, Channel::Call);
    let page = browser.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We are calling •••• 267 with your code"]);

    app.advance(30);
    let sent = app.messages_sent();
    let page = browser.post(CALL, &[]).await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (429, Some("540"))
    );
    assert!(page.says("We already called you once. Ask for a text message instead."));
    assert_eq!(app.messages_sent(), sent);
    browser.post(RESEND, &[]).await.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().channel, Channel::Sms);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_text_that_became_a_call_is_one_sending_and_not_the_call_asked_for() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    app.half_logged_in("harry").await;
    let calls = "SELECT sends * 10 + calls FROM challenges WHERE closed_at IS NULL";
    assert_eq!(app.count(calls).await, 10);
}

#[tokio::test]
async fn no_limit_of_sends_applies_to_the_demo_phones_own_numbers() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    let browser = app.half_logged_in("harry").await;
    let sent = app.messages_sent();
    for _ in 0..4 {
        browser.post(RESEND, &[]).await.redirects_to("/verify_2fa");
        browser.post(CALL, &[]).await.redirects_to("/verify_2fa");
    }
    assert_eq!(app.messages_sent(), sent + 8);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn the_time_between_sends_holds_over_all_verifications_of_a_user_for_a_purpose() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    // Another number, and after giving up; but not somebody else.
    for (seconds, wait, words) in [(0, "30", "30 seconds"), (29, "1", "1 second")] {
        app.advance(seconds);
        let page = browser.enable(OTHER_PHONE).await;
        assert_eq!((page.status, page.header("retry-after")), (429, Some(wait)));
        let sentence = "You asked for a code a moment ago. You can ask for another in";
        assert!(page.says(&format!("{sentence} {words}.")));
        assert_eq!(
            page.value_of("verification_phone").as_deref(),
            Some(OTHER_PHONE)
        );
        assert_eq!(app.messages_sent(), 1);
    }
    let other = app.signed_in("ginny").await;
    other.enable(THIRD_PHONE).await.redirects_to("/verify_2fa");
    app.advance(1);
    browser
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(OTHER_PHONE));
}

#[tokio::test]
async fn a_log_in_held_back_opens_the_code_page_which_says_for_how_long() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let code = app.last_code();
    for _ in 0..5 {
        browser.verify(&wrong(&code)).await;
    }
    let sent = app.messages_sent();
    app.advance(12);
    let again = app.half_logged_in("harry").await;
    assert_eq!(app.messages_sent(), sent);
    let page = again.get("/verify_2fa").await;
    assert!(page.says("You can ask for another in 18 seconds."));
    // What was guessed at five times is no use any more.
    let page = again.verify(&code).await;
    assert_eq!(page.status, 422);
    assert!(page.says("That code has expired. Ask for a new one."));

    let page = again.post(RESEND, &[]).await;
    assert_eq!((page.status, page.header("retry-after")), (429, Some("18")));
    app.advance(18);
    let page = again.get("/verify_2fa").await;
    assert!(page.says("You can ask for a code now."));
    again.post(RESEND, &[]).await.redirects_to("/verify_2fa");
    again.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn who_entered_the_code_is_not_held_back_the_next_time() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    for _ in 0..8 {
        let sent = app.messages_sent();
        let browser = app.half_logged_in("harry").await;
        assert_eq!(app.messages_sent(), sent + 1);
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn loading_the_page_again_sends_nothing() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
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
