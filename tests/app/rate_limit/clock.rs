//! The app ran while its clock was two hours ahead. Then the clock is corrected.

use crate::support::{NOW, PASSWORD, PHONE, TestApp};

const AHEAD: u64 = 2 * 60 * 60;

/// Restarts the app with a correct clock.
async fn corrected(app: TestApp) -> TestApp {
    let now = app.state.clock.now() - i64::try_from(AHEAD).unwrap();
    app.restarted_at(now, &[]).await
}

/// Starts an app with users, whose clock is two hours ahead.
async fn start_ahead() -> TestApp {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.register_and_log_in("bob").await;
    app.advance(AHEAD);
    app
}

#[tokio::test]
async fn a_code_sent_in_the_future_delays_no_other_code() {
    let app = start_ahead().await;
    let browser = app.log_in_until_code("alice").await;
    let cookie = browser.session_cookie().unwrap();
    let app = corrected(app).await;
    // The same browser requests another code. A second browser starts another login.
    let browser = app.browser();
    browser.set_session_cookie(&cookie);
    let page = browser.get("/verify_2fa").await;
    assert!(
        !page.text().contains("You can ask for another in"),
        "{}",
        page.text()
    );
    browser
        .post("/verify_2fa/resend", &[])
        .await
        .redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), 1);
    let page = browser.post("/verify_2fa/resend", &[]).await;
    assert_eq!(page.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn a_session_that_was_active_in_the_future_stays_valid() {
    let app = start_ahead().await;
    let bob = app.log_in("bob").await;
    let cookie = bob.session_cookie().unwrap();
    let app = corrected(app).await;
    let bob = app.browser();
    bob.set_session_cookie(&cookie);
    assert!(bob.is_logged_in().await);
    let ahead =
        "SELECT COUNT(*) FROM sessions WHERE user_id IS NOT NULL AND last_active_at > 1790000000";
    assert_eq!(app.count(ahead).await, 0);
    let seen = "SELECT last_seen_at FROM users WHERE username_key = 'bob'";
    assert_eq!(app.count(seen).await, NOW);
}

#[tokio::test]
async fn a_username_reserved_by_a_clock_years_ahead_is_free() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let fields = [("username", "bella"), ("about_me", "")];
    let page = alice.post("/edit_profile", &fields).await;
    page.redirects_to("/user/bella");
    app.execute("UPDATE former_usernames SET reserved_until = reserved_until + 100000000")
        .await;
    let browser = app.browser();
    let page = browser.register("alice", "a@example.org", PASSWORD).await;
    page.redirects_to("/login");
}
