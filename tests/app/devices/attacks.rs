//! Attacks with device cookies.

use super::{
    COOKIE, DEVICES, assert_needs_code, log_in_with_code, log_out, trusted, with_device_of,
};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn attack_a_stolen_device_cookie_without_the_password_gives_nothing() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    let thief = with_device_of(&app, &browser);
    for path in ["/home", "/security", "/verify_2fa"] {
        let page = thief.get(path).await;
        assert_eq!(page.status, 303, "{path}");
        assert!(page.location().unwrap().starts_with("/login"), "{path}");
    }
    let page = thief.log_in("alice", "a wrong one").await;
    assert_eq!(page.status, 422);
    assert!(!thief.is_logged_in().await);
    // As a session it is worth nothing.
    thief.set_session_cookie(&browser.cookie(COOKIE).unwrap());
    assert!(!thief.is_logged_in().await);
}

#[tokio::test]
async fn attack_the_device_cookie_of_another_account_saves_no_code() {
    let app = TestApp::start().await;
    let mallory = trusted(&app, "mallory", OTHER_PHONE).await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    assert_needs_code(&mallory, "alice").await;
    // Nor does it once alice has logged in there without trusting it.
    let page = mallory.verify(&app.last_code()).await;
    page.redirects_to("/home");
    log_out(&mallory).await;
    app.advance(31);
    assert_needs_code(&mallory, "alice").await;
}

#[tokio::test]
async fn attack_a_forged_cookie_identifies_no_device_and_is_replaced() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let known = app.count(DEVICES).await;
    let long = "A".repeat(4_000);
    for forged in ["", "x", &"A".repeat(43), "%00", "a'b", &long] {
        app.advance(3_600);
        let browser = app.browser();
        browser.set_cookie(COOKIE, forged);
        assert_needs_code(&browser, "alice").await;
        log_in_with_code(&app, &browser, "alice", "1").await;
        assert_ne!(browser.cookie(COOKIE).as_deref(), Some(forged));
        assert_eq!(browser.cookie(COOKIE).unwrap().len(), 43);
        // The forger's copy is worth nothing.
        log_out(&browser).await;
        app.advance(31);
        let forger = app.browser();
        forger.set_cookie(COOKIE, forged);
        assert_needs_code(&forger, "alice").await;
    }
    assert_eq!(app.count(DEVICES).await, known + 6);
}

#[tokio::test]
async fn attack_the_hash_in_the_database_is_no_cookie() {
    let app = TestApp::start().await;
    trusted(&app, "alice", PHONE).await;
    let hash: String =
        sqlx::query_scalar("SELECT token_hash FROM devices WHERE trusted_until IS NOT NULL")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    app.advance(31);
    let browser = app.browser();
    browser.set_cookie(COOKIE, &hash);
    assert_needs_code(&browser, "alice").await;
}

#[tokio::test]
async fn attack_trust_of_a_deleted_account_does_not_serve_a_new_one_of_that_name() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    app.execute("DELETE FROM users").await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
    assert_eq!(browser.log_in("alice", PASSWORD).await.status, 303);
}
