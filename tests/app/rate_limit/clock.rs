//! The app ran while its clock was two hours ahead. Then the clock is corrected.

use crate::support::{NOW, OTHER_PHONE, PASSWORD, PHONE, TestApp};

const AHEAD: u64 = 2 * 60 * 60;

/// An app with such a past, whose clock is right now.
async fn corrected(app: TestApp) -> TestApp {
    let now = app.state.clock.now() - i64::try_from(AHEAD).unwrap();
    app.restarted_at(now, &[]).await
}

/// An app with users, whose clock is two hours ahead.
async fn used_up() -> TestApp {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.signed_in("bob").await;
    app.advance(AHEAD);
    app
}

#[tokio::test]
async fn wrong_passwords_of_the_future_make_nobody_wait() {
    let app = used_up().await;
    for _ in 0..10 {
        app.browser().log_in("bob", "a wrong one").await;
    }
    assert_eq!(app.browser().log_in("bob", PASSWORD).await.status, 429);
    let app = corrected(app).await;
    assert_eq!(app.state.clock.now(), NOW);
    app.browser()
        .log_in("bob", PASSWORD)
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn codes_of_the_future_make_nobody_wait() {
    let app = used_up().await;
    for _ in 0..6 {
        app.half_logged_in("alice").await;
        app.advance(31);
    }
    let sent = app.messages_sent();
    app.half_logged_in("alice").await;
    assert_eq!(app.messages_sent(), sent, "it is held back");
    let app = corrected(app).await;
    let browser = app.half_logged_in("alice").await;
    assert_eq!(app.messages_sent(), 1, "a demo phone of its own");
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_code_sent_in_the_future_holds_back_neither_a_new_one_nor_another() {
    let app = used_up().await;
    let browser = app.half_logged_in("alice").await;
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
async fn a_number_tried_in_the_future_can_be_changed_at_once() {
    let app = used_up().await;
    let bob = app.browser();
    bob.log_in("bob", PASSWORD).await.redirects_to("/home");
    bob.enable(PHONE).await.redirects_to("/verify_2fa");
    let app = corrected(app).await;
    let bob = app.browser();
    bob.log_in("bob", PASSWORD).await.redirects_to("/home");
    bob.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    assert_eq!(bob.verify(&app.last_code()).await.status, 200);
}

#[tokio::test]
async fn a_session_seen_in_the_future_stays_in_use() {
    let app = used_up().await;
    let bob = app.browser();
    bob.log_in("bob", PASSWORD).await.redirects_to("/home");
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
async fn a_name_reserved_by_a_clock_that_was_years_ahead_is_free() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await;
    let fields = [("username", "bella"), ("about_me", "")];
    alice
        .post("/edit_profile", &fields)
        .await
        .redirects_to("/user/bella");
    app.execute("UPDATE former_usernames SET reserved_until = reserved_until + 100000000")
        .await;
    let page = app
        .browser()
        .register("alice", "a@example.org", PASSWORD)
        .await;
    page.redirects_to("/login");
}
