//! A challenge that supersedes another carries over its code and limits, or ends it.

use super::{
    assert_gone, assert_invalid_token, pending_login, two_factor_app, two_factor_login, wrong,
};
use crate::support::{PASSWORD, PHONE};

#[tokio::test]
async fn a_second_login_within_30_seconds_carries_the_code_over() {
    let (app, first) = pending_login("harry").await;
    let code = app.last_code();
    let before = app.phone().counters();
    app.advance(29);
    let second = app.log_in_until_code("harry").await;
    assert_eq!(
        app.phone().counters(),
        before,
        "nothing was sent or canceled"
    );
    let page = second.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We texted a code to •••• 267"]);

    assert_gone(&first, &code).await;
    second.verify(&code).await.redirects_to("/home");
}

#[tokio::test]
async fn a_second_login_after_30_seconds_gets_a_new_code() {
    let (app, first) = pending_login("harry").await;
    let old = app.last_code();
    let before = app.phone().counters();
    app.advance(30);
    let second = app.log_in_until_code("harry").await;
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
async fn a_challenge_that_is_carried_over_keeps_its_attempts() {
    let (app, first) = pending_login("harry").await;
    let code = app.last_code();
    for _ in 0..3 {
        assert_invalid_token(&first.verify(&wrong(&code)).await);
    }
    let second = app.log_in_until_code("harry").await;
    assert_invalid_token(&second.verify(&wrong(&code)).await);
    let third = app.log_in_until_code("harry").await;
    let page = third.verify(&wrong(&code)).await;
    assert!(page.says("That was your last try for this code."));
    assert_gone(&third, &code).await;
    // A fourth login does not reopen it.
    let fourth = app.log_in_until_code("harry").await;
    assert_eq!(fourth.verify(&code).await.status, 422);
    assert!(!fourth.is_logged_in().await);
}

#[tokio::test]
async fn a_challenge_that_is_carried_over_keeps_its_sends_and_its_expiry() {
    let (app, mut browser) = pending_login("harry").await;
    let sent = app.messages_sent();
    for _ in 0..2 {
        app.advance(30);
        browser.request_code("/verify_2fa/resend").await;
        app.advance(10);
        browser = app.log_in_until_code("harry").await;
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
async fn next_and_remember_me_are_those_of_the_last_login() {
    let app = two_factor_app("harry").await;
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
    let (app, harry) = two_factor_login("harry").await;
    let pending = app.log_in_until_code("harry").await;
    let for_login = app.last_code();
    let (cancels, sent) = (app.phone().counters().cancels, app.messages_sent());
    let page = harry.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.phone().counters().cancels, cancels + 1);
    assert_eq!(app.messages_sent(), sent + 1);
    assert_gone(&pending, &for_login).await;
    if for_login != app.last_code() {
        assert_invalid_token(&harry.verify(&for_login).await);
    }
    harry.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn two_users_with_one_number_do_not_cancel_each_others_code() {
    let app = two_factor_app("harry").await;
    app.with_two_factor("ginny", PHONE).await;
    let harry = app.log_in_until_code("harry").await;
    let ginny = app.log_in_until_code("ginny").await;
    let code = app.last_code();
    let cancels = app.phone().counters().cancels;
    let page = harry.post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/login");
    assert_eq!(app.phone().counters().cancels, cancels, "ginny uses it too");
    ginny.verify(&code).await.redirects_to("/home");
    assert!(!harry.is_logged_in().await);
}

#[tokio::test]
async fn a_verified_code_that_was_carried_over_holds_back_no_other() {
    let (app, _settings) = two_factor_login("alice").await;
    let _first = app.log_in_until_code("alice").await;
    let second = app.log_in_until_code("alice").await;
    let sent = app.messages_sent();
    second.verify(&app.last_code()).await.redirects_to("/home");

    let third = app.log_in_until_code("alice").await;
    assert_eq!(
        app.messages_sent(),
        sent + 1,
        "a new code within 30 seconds"
    );
    third.verify(&app.last_code()).await.redirects_to("/home");
}
