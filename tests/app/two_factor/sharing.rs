//! Several challenges of a user: they share Twilio's verification, and one never closes another,
//! except in the same browser.

use super::{
    assert_gone, assert_invalid_token, pending_login, two_factor_app, two_factor_login, wrong,
};
use crate::support::{PASSWORD, PHONE};

#[tokio::test]
async fn a_second_login_within_30_seconds_uses_the_code_that_was_sent() {
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
    second.verify(&code).await.redirects_to("/home");
    // The other challenge is open, but its code was used.
    let page = first.verify(&code).await;
    assert_eq!(page.status, 422);
    assert!(!first.is_logged_in().await);
    app.advance(31);
    first.request_code("/verify_2fa/resend").await;
    first.verify(&app.last_code()).await.redirects_to("/home");
}

/// Otherwise a stranger who knows the password could keep its owner out.
#[tokio::test]
async fn attack_21_another_login_with_the_password_does_not_close_the_owners() {
    let (app, owner) = pending_login("harry").await;
    for _ in 0..4 {
        app.advance(31);
        app.log_in_until_code("harry").await;
        let page = owner.get("/verify_2fa").await;
        assert_eq!(page.status, 200);
    }
    assert_eq!(app.phone().counters().cancels, 0);
    owner.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_second_login_after_30_seconds_gets_the_code_again() {
    let (app, first) = pending_login("harry").await;
    let before = app.phone().counters();
    app.advance(30);
    let second = app.log_in_until_code("harry").await;
    let after = app.phone().counters();
    assert_eq!(after.cancels, before.cancels);
    assert_eq!(after.creates - before.creates, 1);
    second.verify(&app.last_code()).await.redirects_to("/home");
    assert!(!first.is_logged_in().await);
}

#[tokio::test]
async fn a_login_after_an_abandoned_one_of_the_same_browser_gets_a_new_code() {
    let (app, browser) = pending_login("harry").await;
    let (old, before) = (app.last_code(), app.phone().counters());
    app.advance(30);
    browser
        .log_in("harry", PASSWORD)
        .await
        .redirects_to("/verify_2fa");
    let after = app.phone().counters();
    assert_eq!(after.creates - before.creates, 1);
    if old != app.last_code() {
        assert_invalid_token(&browser.verify(&old).await);
    }
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn wrong_codes_count_for_all_challenges_that_share_a_code() {
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
    // Only the challenge of the last try closes. The others may ask for another code.
    for browser in [&first, &second] {
        assert_eq!(browser.verify(&code).await.status, 422);
        assert!(!browser.is_logged_in().await);
    }
    app.advance(31);
    first.request_code("/verify_2fa/resend").await;
    first.verify(&app.last_code()).await.redirects_to("/home");
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
async fn a_login_and_a_reauthentication_share_a_code_but_adding_a_phone_does_not() {
    let (app, harry) = two_factor_login("harry").await;
    let pending = app.log_in_until_code("harry").await;
    let (code, sent) = (app.last_code(), app.messages_sent());
    let page = harry.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), sent);
    app.advance(31);
    let adding = app.browser();
    adding
        .log_in("harry", PASSWORD)
        .await
        .redirects_to("/verify_2fa");
    harry.verify(&code).await.redirects_to("/home");
    assert_eq!(app.phone().counters().cancels, 0);
    harry.add_phone(PHONE).await;
    assert!(
        app.count("SELECT COUNT(*) FROM verifications WHERE is_adding = 1")
            .await
            >= 1
    );
    assert!(!pending.is_logged_in().await);
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
async fn a_verified_code_holds_back_no_other() {
    let (app, _settings) = two_factor_login("alice").await;
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
