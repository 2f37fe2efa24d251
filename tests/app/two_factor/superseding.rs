//! A verification that follows another: what it takes over, what it ends.

use super::{assert_gone, assert_invalid_token, wrong};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn a_second_log_in_within_30_seconds_goes_on_with_the_same_code() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let first = app.half_logged_in("harry").await;
    let code = app.last_code();
    let before = app.phone().counters();
    app.advance(29);
    let second = app.half_logged_in("harry").await;
    assert_eq!(app.phone().counters(), before, "nothing sent or cancelled");
    let page = second.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We texted a code to •••• 267"]);

    assert_gone(&first, &code).await;
    second.verify(&code).await.redirects_to("/home");
}

#[tokio::test]
async fn a_second_log_in_after_30_seconds_gets_a_code_of_its_own() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let first = app.half_logged_in("harry").await;
    let old = app.last_code();
    let before = app.phone().counters();
    app.advance(30);
    let second = app.half_logged_in("harry").await;
    let after = app.phone().counters();
    assert_eq!(after.cancels - before.cancels, 1);
    assert_eq!(after.creates - before.creates, 1);
    let new = app.last_code();
    assert_gone(&first, &new).await;
    if old != new {
        assert_invalid_token(&second.verify(&old).await);
    }
    second.verify(&new).await.redirects_to("/home");
}

#[tokio::test]
async fn what_is_carried_over_keeps_its_tries() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let first = app.half_logged_in("harry").await;
    let code = app.last_code();
    for _ in 0..3 {
        assert_invalid_token(&first.verify(&wrong(&code)).await);
    }
    let second = app.half_logged_in("harry").await;
    assert_invalid_token(&second.verify(&wrong(&code)).await);
    let third = app.half_logged_in("harry").await;
    let page = third.verify(&wrong(&code)).await;
    assert!(page.says("That was your last try for this code."));
    assert_gone(&third, &code).await;
    // Nor does a fourth one bring it back.
    let fourth = app.half_logged_in("harry").await;
    assert_eq!(fourth.verify(&code).await.status, 422);
    assert!(!fourth.is_logged_in().await);
}

#[tokio::test]
async fn what_is_carried_over_keeps_its_sends_and_its_end() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let mut browser = app.half_logged_in("harry").await;
    let sent = app.messages_sent();
    for _ in 0..2 {
        app.advance(30);
        let page = browser.post("/verify_2fa/resend", &[]).await;
        page.redirects_to("/verify_2fa");
        app.advance(10);
        browser = app.half_logged_in("harry").await;
    }
    assert_eq!(app.messages_sent(), sent + 2);
    let code = app.last_code();
    app.advance(20);
    let page = browser.post("/verify_2fa/resend", &[]).await;
    assert!(page.says("We can't send any more codes."));
    app.advance(600 - 100);
    assert_gone(&browser, &code).await;
}

#[tokio::test]
async fn where_to_go_and_remember_me_are_those_of_the_last_log_in() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let long = [
        ("username", "harry"),
        ("password", PASSWORD),
        ("remember_me", "y"),
        ("next", "/edit_profile"),
    ];
    let browser = app.browser();
    let page = browser.post("/login", &long).await;
    page.redirects_to("/verify_2fa");
    let page = browser.log_in("harry", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert!(!page.set_cookie().unwrap().contains("Max-Age"));
}

#[tokio::test]
async fn a_code_for_another_purpose_is_never_carried_over() {
    let app = TestApp::start().await;
    let harry = app.with_two_factor("harry", PHONE).await;
    let half = app.half_logged_in("harry").await;
    let for_the_log_in = app.last_code();
    let (cancels, sent) = (app.phone().counters().cancels, app.messages_sent());
    let page = harry.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.phone().counters().cancels, cancels + 1);
    assert_eq!(app.messages_sent(), sent + 1);
    assert_gone(&half, &for_the_log_in).await;
    if for_the_log_in != app.last_code() {
        assert_invalid_token(&harry.verify(&for_the_log_in).await);
    }
    harry.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn two_users_with_one_number_do_not_take_each_others_code_away() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    app.with_two_factor("ginny", PHONE).await;
    let harry = app.half_logged_in("harry").await;
    let ginny = app.half_logged_in("ginny").await;
    let code = app.last_code();
    let cancels = app.phone().counters().cancels;
    let page = harry.post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/login");
    assert_eq!(
        app.phone().counters().cancels,
        cancels,
        "ginny holds it too"
    );
    ginny.verify(&code).await.redirects_to("/home");
    assert!(!harry.is_logged_in().await);
}

#[tokio::test]
async fn two_numbers_asked_one_after_the_other_are_two_codes() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let first = app.last_code();
    app.advance(30);
    browser
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let second = app.last_code();
    if first != second {
        assert_invalid_token(&browser.verify(&first).await);
    }
    assert_eq!(browser.verify(&second).await.status, 200);
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(OTHER_PHONE));
}

#[tokio::test]
async fn a_code_that_was_carried_over_and_entered_holds_back_no_other() {
    let app = TestApp::start().await;
    let _settings = app.with_two_factor("alice", PHONE).await;
    let _first = app.half_logged_in("alice").await;
    let second = app.half_logged_in("alice").await;
    let sent = app.messages_sent();
    second.verify(&app.last_code()).await.redirects_to("/home");

    let third = app.half_logged_in("alice").await;
    assert_eq!(
        app.messages_sent(),
        sent + 1,
        "a new code, though 30 seconds are not over"
    );
    third.verify(&app.last_code()).await.redirects_to("/home");
}
