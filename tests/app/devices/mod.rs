//! Devices: the cookie that identifies a browser, the trust in it, and the notice about a new one.

mod attacks;
mod notice;
mod page;
mod trust;
mod trust_end;
mod wrong_passwords;

use std::collections::BTreeSet;

use reqwest::Method;

use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

const COOKIE: &str = "twostep_device";
const DAY: u64 = 24 * 60 * 60;
const DEVICES: &str = "SELECT COUNT(*) FROM devices";
const TRUSTED: &str = "SELECT COUNT(*) FROM devices WHERE trusted_until IS NOT NULL";

/// The `Set-Cookie` of the device cookie.
fn device_cookie(page: &Page) -> Option<&str> {
    let names = ["twostep_device=", "__Host-device="];
    let is_device = |cookie: &&str| names.iter().any(|name| cookie.starts_with(name));
    page.set_cookies().into_iter().find(is_device)
}

/// A browser with the device cookie of another and nothing else.
fn with_device_of(app: &TestApp, other: &Browser) -> Browser {
    let browser = app.browser();
    browser.set_cookie(COOKIE, &other.cookie(COOKIE).unwrap());
    browser
}

/// Logs in with a code, and with this value of the field `trust_device`.
async fn log_in_with_code(app: &TestApp, browser: &Browser, username: &str, trust: &str) {
    app.advance(31);
    let page = browser.log_in(username, PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let fields = [("token", &*app.last_code()), ("trust_device", trust)];
    let page = browser.post("/verify_2fa", &fields).await;
    page.redirects_to("/home");
}

async fn log_out(browser: &Browser) {
    browser.post("/logout", &[]).await.redirects_to("/login");
}

/// Creates an account with two-factor authentication. Returns a browser that it trusts, logged
/// out.
async fn trusted(app: &TestApp, username: &str, phone: &str) -> Browser {
    app.with_two_factor(username, phone).await;
    let browser = app.browser();
    log_in_with_code(app, &browser, username, "1").await;
    log_out(&browser).await;
    browser
}

/// Asserts that a login of the browser needs a code.
async fn assert_needs_code(browser: &Browser, username: &str) {
    let page = browser.log_in(username, PASSWORD).await;
    page.redirects_to("/verify_2fa");
    assert!(!browser.is_logged_in().await);
}

/// ASVS 3.3.1, 3.3.2, 3.3.4
#[tokio::test]
async fn a_completed_login_sets_the_cookie_once_per_browser() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.execute("DELETE FROM devices").await;
    app.advance(31);
    let browser = app.browser();
    for page in [
        browser.get("/login").await,
        browser.log_in("alice", "a wrong one").await,
        browser.log_in("alice", PASSWORD).await,
        browser.get("/verify_2fa").await,
        browser.verify("000000").await,
    ] {
        assert_eq!(device_cookie(&page), None);
    }
    assert_eq!(app.count(DEVICES).await, 0, "no login is complete");

    let page = browser.verify(&app.last_code()).await;
    let cookie = device_cookie(&page).unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(pair.len(), COOKIE.len() + 1 + 43, "256 bits");
    assert_eq!(
        attributes.split("; ").collect::<BTreeSet<_>>(),
        BTreeSet::from(["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=34560000"])
    );
    let value = browser.cookie(COOKIE);
    for _ in 0..2 {
        log_out(&browser).await;
        app.advance(31);
        browser.log_in("alice", PASSWORD).await;
        let page = browser.verify(&app.last_code()).await;
        page.redirects_to("/home");
        assert_eq!(device_cookie(&page), None, "it is not renewed");
        assert_eq!(browser.cookie(COOKIE), value);
    }
    assert_eq!(app.count(DEVICES).await, 1);
}

/// ASVS 3.3.1, 3.3.3
#[tokio::test]
async fn in_production_the_cookie_has_the_host_prefix() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.register("alice").await;
    let browser = app.browser();
    let page = browser.log_in("alice", PASSWORD).await;
    let cookie = device_cookie(&page).unwrap();
    assert!(cookie.starts_with("__Host-device="), "{cookie}");
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    log_out(&browser).await;
    let page = browser.log_in("alice", PASSWORD).await;
    assert_eq!(device_cookie(&page), None);
    assert_eq!(app.count(DEVICES).await, 1);
}

#[tokio::test]
async fn two_accounts_share_the_cookie_of_a_browser() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("bella").await;
    let browser = app.browser();
    browser.complete_login("alice").await;
    log_out(&browser).await;
    let page = browser.log_in("bella", PASSWORD).await;
    assert_eq!(device_cookie(&page), None);
    let rows = "SELECT COUNT(*) FROM (SELECT token_hash FROM devices \
        GROUP BY token_hash HAVING COUNT(*) = 2) shared";
    assert_eq!((app.count(DEVICES).await, app.count(rows).await), (2, 1));
}

/// ASVS 13.3.1
#[tokio::test]
async fn the_database_holds_only_the_hash_of_the_cookie() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let token = browser.cookie(COOKIE).unwrap();
    let bytes = app.database_bytes().await;
    let contains = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(!contains(&token));
    assert!(contains("alice"), "the test would see it");
}

#[tokio::test]
async fn a_login_and_its_device_are_one_transaction() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.break_when(
        "broken",
        "BEFORE INSERT ON sessions",
        "NEW.user_id IS NOT NULL",
    )
    .await;
    let browser = app.browser();
    assert_eq!(browser.log_in("alice", PASSWORD).await.status, 500);
    assert_eq!(browser.cookie(COOKIE), None);
    assert_eq!(app.count(DEVICES).await, 0);
}

#[tokio::test]
async fn an_account_keeps_the_thirty_devices_that_were_seen_last() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for number in 1..=30 {
        app.log_in("alice").await;
        app.advance(130);
        assert_eq!(app.count(DEVICES).await, number);
    }
    let before = "SELECT MIN(last_seen_at) FROM devices";
    let oldest = app.count(before).await;
    let browser = app.log_in("alice").await;
    assert_eq!(app.count(DEVICES).await, 30);
    assert_eq!(app.count(before).await, oldest + 130);
    // A session survives its device.
    let sessions = "SELECT COUNT(*) FROM sessions WHERE user_id IS NOT NULL";
    assert_eq!(app.count(sessions).await, 31);
    let page = browser.get("/security").await;
    assert_eq!(page.all("form[action$='/revoke']").len(), 30);
}

#[tokio::test]
async fn activity_keeps_a_device_seen() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let seen = "SELECT MAX(last_seen_at) - MAX(created_at) FROM devices";
    app.advance(3_600);
    assert_eq!(app.count(seen).await, 0);
    browser.send(browser.request(Method::GET, "/home")).await;
    assert_eq!(app.count(seen).await, 3_600);
}
