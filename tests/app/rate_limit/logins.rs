//! Limits on logins that succeed, and what many wrong passwords lead to.

use twostep::models::outbox::{Mail, NoticeKind};
use twostep::models::rate_limit::{
    EMAILS_OF_KIND, LOGINS, WRONG_PASSWORDS, WRONG_PASSWORDS_PER_ACCOUNT,
};

use crate::logs;
use crate::support::{Browser, PASSWORD, PHONE, TestApp};

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

fn is_refused(page: &crate::support::Page) -> bool {
    let sentence = "Too many logins to this account from your network. Try again in 60 minutes.";
    page.status == 429 && page.header("retry-after") == Some("3600") && page.says(sentence)
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn thirty_logins_an_hour_are_let_in_and_then_right_and_wrong_passwords_are_429() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    app.register("bob").await;
    let at = |address: &str| app.browser().at(address);
    fill_logins(&app, "alice", "203.0.113.9", 28).await;
    for _ in 0..2 {
        let page = at("203.0.113.9").log_in("alice", PASSWORD).await;
        page.redirects_to("/home");
    }
    let before = app.dump().await;
    for password in [PASSWORD, WRONG] {
        let page = at("203.0.113.9").log_in("alice", password).await;
        assert!(is_refused(&page), "{}", page.text());
    }
    assert_eq!(app.dump().await, before, "no side effect");
    // Neither the account elsewhere, nor another account there.
    at("203.0.113.8")
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
    at("203.0.113.9")
        .log_in("bob", PASSWORD)
        .await
        .redirects_to("/home");
    app.advance(HOUR);
    at("203.0.113.9")
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
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
    // A right password counts as no wrong one.
    let wrong = app.used(&WRONG_PASSWORDS, "203.0.113.9 name alice").await;
    assert_eq!(wrong, 1);
}

/// ASVS 15.3.4
#[tokio::test]
async fn a_site_logs_in_to_an_account_three_hundred_times_an_hour() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    fill_logins(&app, "alice", "2001:db8:1::/48", 1).await;
    app.execute("UPDATE rate_limits SET count = 299").await;
    let at = |address: &str| app.browser().at(address);
    let page = at("2001:db8:1:2::1").log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
    let page = at("2001:db8:1:3::1").log_in("alice", PASSWORD).await;
    assert!(is_refused(&page), "{}", page.text());
    let page = at("2001:db8:2::1").log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
}

/// ASVS 6.3.1, 15.3.4
#[tokio::test]
async fn attack_06_a_site_guesses_six_hundred_times_over_all_names() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    let at = |address: &str| app.browser().at(address);
    assert_eq!(at("2001:db8:1:2::1").log_in("bob", WRONG).await.status, 422);
    app.execute("UPDATE rate_limits SET count = 599 WHERE capacity = 600")
        .await;
    assert_eq!(
        at("2001:db8:1:3::1").log_in("carol", WRONG).await.status,
        422
    );
    for (name, password) in [("doris", WRONG), ("alice", PASSWORD)] {
        let page = at("2001:db8:1:4::1").log_in(name, password).await;
        assert_eq!(
            (page.status, page.header("retry-after")),
            (429, Some("600"))
        );
        assert!(page.says("Too many wrong passwords. Try again in 10 minutes."));
    }
    let page = at("2001:db8:2::1").log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
}

#[tokio::test]
async fn in_development_no_limit_on_logins_holds_on_this_machine() {
    let app = TestApp::start().await;
    app.register("alice").await;
    fill_logins(&app, "alice", "127.0.0.1", 30).await;
    app.browser()
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
    assert_eq!(count_logins(&app, "alice", "127.0.0.1").await, 30);
}

/// The events of the notices that wait for an account.
async fn notices(app: &TestApp, username: &str) -> Vec<NoticeKind> {
    let mails = app.mails(username).await.into_iter();
    let events = mails.filter_map(|(mail, _)| match mail {
        Mail::Notice(notice) => Some(notice.event),
        Mail::ResetPassword => None,
    });
    events.collect()
}

/// Wrong passwords for an account, from an address each.
async fn guess(app: &TestApp, name: &str, guesses: std::ops::Range<usize>) {
    for number in guesses {
        let address = format!("198.51.{}.{}", 100 + number / 250, number % 250);
        let browser: Browser = app.browser().at(&address);
        assert_eq!(browser.log_in(name, WRONG).await.status, 422);
    }
}

/// ASVS 6.3.5
#[tokio::test]
async fn attack_21_more_than_a_hundred_wrong_passwords_a_day_are_emailed_and_refuse_nobody() {
    let settings = [
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("SMTP_URL", "smtp://127.0.0.1:1"),
    ];
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
    // One an hour, however many there are.
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
async fn attack_13_a_hundred_wrong_passwords_for_a_name_that_nobody_has_write_the_same() {
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
