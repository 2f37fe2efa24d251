//! Limits on logins that succeed, and the effects of many wrong passwords.

use twostep::models::outbox::NoticeKind;
use twostep::models::rate_limit::{
    EMAILS_OF_KIND, LOGINS, WRONG_PASSWORDS, WRONG_PASSWORDS_PER_ACCOUNT,
};

use crate::logs;
use crate::support::{BEHIND_PROXY, Browser, PASSWORD, PHONE, TestApp};

const HOUR: u64 = 60 * 60;

const WRONG: &str = "a wrong one";

async fn count_logins(app: &TestApp, username: &str, address: &str) -> i64 {
    let id = app.user(username).await.id;
    app.used(&LOGINS, &format!("{} {address}", id.as_str()))
        .await
}

async fn fill_logins(app: &TestApp, username: &str, place: &str, times: usize) {
    let id = app.user(username).await.id;
    app.fill(&LOGINS, &format!("{} {place}", id.as_str()), times)
        .await;
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn after_thirty_logins_an_hour_right_and_wrong_passwords_are_429_for_that_client() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    app.register("bob").await;
    let log_in = async |name: &str, address: &str, password: &str| {
        let browser = app.browser().at(address);
        browser.log_in(name, password).await
    };
    fill_logins(&app, "alice", "203.0.113.9", 30).await;
    for password in [PASSWORD, WRONG] {
        let page = log_in("alice", "203.0.113.9", password).await;
        assert_eq!(page.status, 429, "{}", page.text());
    }
    for (name, address) in [("alice", "203.0.113.8"), ("bob", "203.0.113.9")] {
        let page = log_in(name, address, PASSWORD).await;
        page.redirects_to("/home");
    }
    app.advance(HOUR);
    let page = log_in("alice", "203.0.113.9", PASSWORD).await;
    page.redirects_to("/home");
}

#[tokio::test]
async fn a_login_that_reaches_the_code_page_counts_and_a_wrong_password_does_not() {
    let app = TestApp::behind_proxy().await;
    app.with_two_factor("alice", PHONE).await;
    let at = || app.browser().at("203.0.113.9");
    at().log_in("alice", WRONG).await;
    assert_eq!(count_logins(&app, "alice", "203.0.113.9").await, 0);
    at().log_in("alice", PASSWORD)
        .await
        .redirects_to("/verify_2fa");
    assert_eq!(count_logins(&app, "alice", "203.0.113.9").await, 1);
    // A right password does not count as a wrong one.
    let wrong = app.used(&WRONG_PASSWORDS, "203.0.113.9 name alice").await;
    assert_eq!(wrong, 1);
}

#[tokio::test]
async fn in_development_logins_from_this_machine_are_not_limited() {
    let app = TestApp::start().await;
    app.register("alice").await;
    fill_logins(&app, "alice", "127.0.0.1", 30).await;
    app.log_in("alice").await;
    assert_eq!(count_logins(&app, "alice", "127.0.0.1").await, 30);
}

/// Returns the kinds of the waiting notices for an account.
async fn notices(app: &TestApp, username: &str) -> Vec<NoticeKind> {
    let notices = app.notices(username).await.into_iter();
    notices.map(|notice| notice.event).collect()
}

/// Sends wrong passwords for an account, each from another address.
async fn guess(app: &TestApp, name: &str, guesses: std::ops::Range<usize>) {
    for number in guesses {
        let address = format!("198.51.{}.{}", 100 + number / 250, number % 250);
        let browser: Browser = app.browser().at(&address);
        assert_eq!(browser.log_in(name, WRONG).await.status, 422);
    }
}

/// ASVS 6.3.5
#[tokio::test]
async fn attack_21_over_a_hundred_wrong_passwords_a_day_email_the_owner_and_refuse_nothing() {
    let settings = [BEHIND_PROXY, ("SMTP_URL", "smtp://127.0.0.1:1")];
    let app = TestApp::with(&settings).await;
    app.register("alice").await;
    app.register("bob").await;
    let id = app.user("alice").await.id;
    app.fill(&WRONG_PASSWORDS_PER_ACCOUNT, id.as_str(), 98)
        .await;
    guess(&app, "alice", 0..2).await;
    assert_eq!(notices(&app, "alice").await, []);
    logs::keep();
    guess(&app, "ALICE", 2..4).await;
    assert_eq!(
        notices(&app, "alice").await,
        [NoticeKind::ManyWrongPasswords]
    );
    let lines = logs::take().concat();
    assert!(lines.contains("event=\"many_wrong_passwords\""), "{lines}");
    // At most one an hour.
    app.advance(HOUR - 1);
    guess(&app, "alice", 4..5).await;
    assert_eq!(notices(&app, "alice").await.len(), 1);
    app.advance(1);
    guess(&app, "alice", 5..7).await;
    assert_eq!(notices(&app, "alice").await.len(), 2);
    assert_eq!(notices(&app, "bob").await, []);
    let subject = format!("{} ManyWrongPasswords", id.as_str());
    assert_eq!(app.used(&EMAILS_OF_KIND, &subject).await, 1);
    app.browser()
        .at("203.0.113.9")
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_wrong_passwords_for_known_and_unknown_usernames_write_as_many_rows() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    let id = app.user("alice").await.id;
    app.fill(&WRONG_PASSWORDS_PER_ACCOUNT, id.as_str(), 100)
        .await;
    app.fill(&WRONG_PASSWORDS_PER_ACCOUNT, "name nobody", 100)
        .await;
    let counted = "SELECT COUNT(*) FROM rate_limits";
    let mut rows = Vec::new();
    for name in ["alice", "nobody"] {
        let before = app.count(counted).await;
        guess(&app, name, 0..1).await;
        rows.push(app.count(counted).await - before);
        app.execute("DELETE FROM rate_limits WHERE capacity IN (10, 60)")
            .await;
    }
    assert_eq!(rows[0], rows[1]);
}
