//! How long a session and its cookie live.

use super::{ROWS, assert_dead, cookie_of};
use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

async fn log_in(app: &TestApp, remember: bool) -> (Browser, Page) {
    let browser = app.browser();
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember_me", if remember { "1" } else { "" }),
    ];
    let page = browser.post("/login", &fields).await;
    assert_eq!(page.status, 303);
    (browser, page)
}

/// ASVS 7.3.1, 7.3.2
#[tokio::test]
async fn an_unused_session_ends_after_its_idle_time_and_a_used_one_after_its_absolute_time() {
    for (remember, idle, absolute) in [(false, 12 * HOUR, 7 * DAY), (true, 14 * DAY, 30 * DAY)] {
        let app = TestApp::start().await;
        app.register("alice").await;
        let (used, _) = log_in(&app, remember).await;
        let (unused, _) = log_in(&app, remember).await;
        app.advance(idle - 1);
        assert!(used.is_logged_in().await);
        app.advance(1);
        assert!(!unused.is_logged_in().await, "idle too long");
        assert!(used.is_logged_in().await, "activity extends it");

        let step = idle - MINUTE;
        let mut elapsed = idle;
        while elapsed + step < absolute - 1 {
            app.advance(step);
            elapsed += step;
            assert!(used.is_logged_in().await, "after {elapsed} seconds");
        }
        app.advance(absolute - 1 - elapsed);
        assert!(used.is_logged_in().await);
        app.advance(1);
        assert!(!used.is_logged_in().await, "the absolute end");
        assert_dead(&app, &used.session_cookie().unwrap()).await;
    }
}

#[tokio::test]
async fn neither_activity_nor_reauthentication_moves_the_absolute_end() {
    for remember in [false, true] {
        let app = TestApp::start().await;
        app.register("alice").await;
        let (browser, _) = log_in(&app, remember).await;
        let (step, absolute) = match remember {
            true => (10 * DAY, 30 * DAY),
            false => (11 * HOUR, 7 * DAY),
        };
        let mut elapsed = 0;
        while elapsed + step < absolute {
            app.advance(step);
            elapsed += step;
            let page = browser.reauth(PASSWORD).await;
            page.redirects_to("/home");
            let rest = absolute - elapsed;
            let (_, attributes) = cookie_of(&page);
            let max_age = format!("Max-Age={rest}");
            assert_eq!(attributes.contains(&max_age), remember, "{attributes:?}");
        }
        app.advance(absolute - elapsed);
        assert!(!browser.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_message_or_a_pending_login_lives_an_hour() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.execute("DELETE FROM sessions").await;
    let browser = app.browser();
    browser.register("bob", "bob@example.com", PASSWORD).await;
    let pending = app.log_in_until_code("alice").await;
    app.execute("UPDATE challenges SET expires_at = expires_at + 100000")
        .await;
    app.advance(HOUR - 1);
    assert_eq!(pending.get("/verify_2fa").await.status, 200);
    let copy = browser.copy();
    app.advance(1);
    pending
        .get("/verify_2fa")
        .await
        .redirects_to("/login?next=%2Fhome");
    assert!(copy.get("/login").await.alerts().is_empty());
}

#[tokio::test]
async fn activity_is_recorded_once_a_minute_and_not_by_head() {
    const ENDS: &str = "SELECT idle_expires_at FROM sessions WHERE user_id IS NOT NULL";
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let at_first = app.count(ENDS).await;
    app.advance(MINUTE - 1);
    browser.get("/home").await;
    assert_eq!(app.count(ENDS).await, at_first);
    app.advance(1);
    browser.head("/home").await;
    assert_eq!(app.count(ENDS).await, at_first);
    browser.get("/home").await;
    assert_eq!(app.count(ENDS).await, at_first + 60);
    app.advance(MINUTE);
    browser.post("/edit_profile", &[("username", "")]).await;
    assert_eq!(app.count(ENDS).await, at_first + 120, "a 422 counts too");
}

/// ASVS 3.3.2, 3.3.4
#[tokio::test]
async fn the_cookie_ends_with_the_browser_unless_the_login_is_remembered() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let (browser, page) = log_in(&app, false).await;
    let plain = ["HttpOnly", "Path=/", "SameSite=Lax"];
    assert_eq!(cookie_of(&page).1, plain);
    browser.enable(PHONE).await;
    let enabled = browser.verify(&app.last_code()).await;
    assert_eq!(cookie_of(&enabled).1, plain);
}

#[tokio::test]
async fn the_remembered_cookie_is_set_once_with_the_full_life() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let (browser, page) = log_in(&app, true).await;
    let (_, attributes) = cookie_of(&page);
    let long = ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax"];
    assert_eq!(attributes, long);
    for _ in 0..3 {
        app.advance(DAY);
        for path in ["/home", "/user/alice", "/edit_profile", "/nothing"] {
            assert_eq!(browser.get(path).await.set_cookie(), None, "{path}");
        }
        let fields = [("username", "alice"), ("about_me", "Hello.")];
        let page = browser.post("/edit_profile", &fields).await;
        assert_eq!(page.set_cookie(), None);
    }
    // With two-factor authentication, only the completed login has a long-lived cookie.
    let page = browser.post("/reauth", &[("password", PASSWORD)]).await;
    let left = format!("Max-Age={}", 27 * DAY);
    assert!(cookie_of(&page).1.contains(&left));
    browser.enable(PHONE).await;
    let page = browser.verify(&app.last_code()).await;
    assert!(cookie_of(&page).1.contains(&left));
    let (browser, page) = log_in(&app, true).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(cookie_of(&page).1, ["HttpOnly", "Path=/", "SameSite=Lax"]);
    let page = browser.verify(&app.last_code()).await;
    assert_eq!(cookie_of(&page).1, long);
}

#[tokio::test]
async fn only_the_request_that_ended_the_session_removes_the_cookie() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let dead = browser.copy();
    let page = browser.post("/logout", &[]).await;
    page.redirects_to("/login");
    let (value, attributes) = cookie_of(&page);
    assert_eq!(value, "");
    let removal = ["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax"];
    assert_eq!(attributes, removal);
    assert_eq!(browser.session_cookie(), None);

    for browser in [&dead, &browser, &app.browser()] {
        for page in [
            browser.get("/home").await,
            browser.get("/login").await,
            browser.post("/login", &[]).await,
            browser.post("/logout", &[]).await,
        ] {
            assert_eq!(page.set_cookie(), None);
        }
    }
}

/// ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4, 3.3.5
#[tokio::test]
async fn in_production_the_cookie_is_secure_and_bound_to_the_host() {
    let app = TestApp::production("http://127.0.0.1:1").await;
    app.register("alice").await;
    let (browser, page) = log_in(&app, true).await;
    let cookie = page.set_cookie().unwrap();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    let long = [
        "HttpOnly",
        "Max-Age=2592000",
        "Path=/",
        "SameSite=Lax",
        "Secure",
    ];
    assert_eq!(cookie_of(&page).1, long);
    assert!(browser.is_logged_in().await);

    // Another host could set a cookie without the prefix: it has no session.
    let token = cookie_of(&page).0;
    assert_dead(&app, &token).await;

    let page = browser.post("/logout", &[]).await;
    let removed = page.set_cookie().unwrap();
    assert!(removed.starts_with("__Host-session=;"), "{removed}");
    let removal = ["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax", "Secure"];
    assert_eq!(cookie_of(&page).1, removal);
    assert_eq!(app.count(ROWS).await, 1, "the message's");
}
