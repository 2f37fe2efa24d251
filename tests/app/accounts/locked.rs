//! An account that the operator has locked.

use twostep::models::rate_limit::WRONG_PASSWORDS;

use super::enumeration::revealed;
use crate::support::{PASSWORD, PHONE, TestApp};

const LOCK: &str = "UPDATE users SET locked_at = 1 WHERE username_key = 'alice'";

const UNLOCK: &str = "UPDATE users SET locked_at = NULL WHERE username_key = 'alice'";

/// ASVS 6.3.8
#[tokio::test]
async fn the_right_password_of_a_locked_account_is_answered_like_a_wrong_one() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("guarded").await;
    app.execute(LOCK).await;
    let wrong = app.browser().log_in("guarded", "a wrong one").await;
    for password in [PASSWORD, "a wrong one"] {
        let page = app.browser().log_in("alice", password).await;
        assert_eq!(revealed(&page, "alice"), revealed(&wrong, "guarded"));
    }
    let failures = "SELECT failed_logins FROM users WHERE username_key = 'alice'";
    assert_eq!(app.count(failures).await, 2);
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'wrong_password'";
    assert_eq!(app.count(recorded).await, 3);
    for (name, failures) in [("alice", 2), ("guarded", 1)] {
        let subject = format!("127.0.0.1 name {name}");
        assert_eq!(app.used(&WRONG_PASSWORDS, &subject).await, failures);
    }
    app.execute(UNLOCK).await;
    app.log_in("alice").await;
}

/// ASVS 7.4.2
#[tokio::test]
async fn a_code_from_before_the_lock_never_logs_in() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    app.execute(LOCK).await;
    let sessions = "DELETE FROM sessions WHERE user_id IS NOT NULL";
    app.execute(sessions).await;
    let code = app.last_code();
    pending.verify(&code).await.redirects_to("/login");
    assert_eq!(app.logins().await, 0);
    app.execute(UNLOCK).await;
    pending.verify(&code).await;
    assert_eq!(app.logins().await, 0, "the challenge stays closed");
}

#[tokio::test]
async fn a_locked_account_cannot_reauthenticate() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.advance(601);
    let fields = [("password", PASSWORD), ("next", "/enable_2fa")];
    alice
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    app.execute(LOCK).await;
    let page = alice.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert_eq!(
        alice.get("/enable_2fa").await.status,
        303,
        "not recently authenticated"
    );
    let page = alice.post("/reauth", &fields).await;
    assert_eq!(page.status, 422);
}

#[tokio::test]
async fn the_password_of_a_locked_account_can_be_reset_but_does_not_log_in() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.execute(LOCK).await;
    let browser = app.browser();
    browser.get(&app.reset_link("alice").await).await;
    let new = "a slow boat to nowhere";
    let fields = [("password", new), ("confirm_password", new)];
    let page = browser.post("/reset_password", &fields).await;
    page.redirects_to("/login");
    assert_eq!(browser.log_in("alice", new).await.status, 422);
    app.execute(UNLOCK).await;
    browser.log_in("alice", new).await.redirects_to("/home");
}
