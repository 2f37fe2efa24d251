//! Logins with the right password and no right code: one notice a day.

use twostep::models::outbox::{NoticeKind, Queued};
use twostep::services::mailer::Email;

use super::{only_notice, post_as};
use crate::support::{Browser, NOW, PASSWORD, PHONE, TestApp};

const LIFE: i64 = 600;
const DAY: u64 = 24 * 60 * 60;

async fn app_with_alice() -> TestApp {
    let app = TestApp::keeping_mail().await;
    app.with_two_factor("alice", PHONE).await;
    app.empty_outbox().await;
    app.advance(31);
    app
}

/// An intruder who knows alice's password starts a login.
async fn intrude(app: &TestApp) -> Browser {
    let browser = app.browser();
    let body = format!("username=alice&password={PASSWORD}");
    let page = post_as(b"Intruder", &browser, "/login", body).await;
    page.redirects_to("/verify_2fa");
    browser
}

async fn log_in(app: &TestApp, browser: &Browser) {
    let page = browser.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// The one notice is about the intruder.
async fn assert_only_intruder_noticed(app: &TestApp) {
    let notice = only_notice(app, "alice").await;
    assert_eq!(notice.event, NoticeKind::UnfinishedLogin);
    assert_eq!(notice.user_agent.as_deref(), Some("Intruder"));
}

/// ASVS 6.3.5
#[tokio::test]
async fn the_notice_of_an_unfinished_login_is_due_when_its_code_expires() {
    let app = app_with_alice().await;
    intrude(&app).await;
    assert_only_intruder_noticed(&app).await;
    let due = app.mails("alice").await.remove(0).1;
    assert_eq!(due, NOW + 31 + LIFE);
    let database = &app.pool;
    assert!(Queued::take(database, due - 1).await.unwrap().is_none());
    assert!(Queued::take(database, due).await.unwrap().is_some());
}

#[tokio::test]
async fn a_right_code_withdraws_the_notice() {
    let app = app_with_alice().await;
    let alice = app.browser();
    for _ in 0..3 {
        log_in(&app, &alice).await;
        assert!(app.mails("alice").await.is_empty());
        alice.post("/logout", &[]).await;
        app.advance(60);
    }
    // None of them used up the day's notice.
    intrude(&app).await;
    assert_only_intruder_noticed(&app).await;
}

#[tokio::test]
async fn wrong_codes_and_giving_up_do_not_withdraw_the_notice() {
    let app = app_with_alice().await;
    let browser = intrude(&app).await;
    for _ in 0..5 {
        browser.verify("000000").await;
    }
    assert_only_intruder_noticed(&app).await;

    for way_out in ["/verify_2fa/cancel", "/logout"] {
        let app = app_with_alice().await;
        let browser = intrude(&app).await;
        browser.post(way_out, &[]).await.redirects_to("/login");
        assert_only_intruder_noticed(&app).await;
    }
}

#[tokio::test]
async fn the_owners_login_does_not_hide_an_intruders() {
    for pause in [0, 5, 31, 300] {
        let app = app_with_alice().await;
        intrude(&app).await;
        app.advance(pause);
        log_in(&app, &app.browser()).await;
        assert_only_intruder_noticed(&app).await;
    }
}

#[tokio::test]
async fn an_intruder_during_the_owners_login_is_not_hidden() {
    let app = app_with_alice().await;
    let alice = app.log_in_until_code("alice").await;
    app.advance(31);
    intrude(&app).await;
    app.advance(31);
    log_in(&app, &alice).await;
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::UnfinishedLogin);
}

#[tokio::test]
async fn a_second_login_in_the_same_browser_does_not_postpone_the_notice() {
    let app = app_with_alice().await;
    let browser = app.log_in_until_code("alice").await;
    let due = app.mails("alice").await[0].1;
    for pause in [5, 31, 100] {
        app.advance(pause);
        let page = browser.log_in("alice", PASSWORD).await;
        page.redirects_to("/verify_2fa");
        let mails = app.mails("alice").await;
        assert_eq!((mails.len(), mails[0].1), (1, due));
    }
    browser.verify(&app.last_code()).await.redirects_to("/home");
    assert!(app.mails("alice").await.is_empty());
}

/// The same account in an app that sends emails.
async fn sending_app_with_alice() -> TestApp {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    app
}

/// The number of emails to alice that are not about a new device, once all are sent.
async fn sent(app: &TestApp) -> usize {
    let mails = app.mail_to("alice@example.com").await;
    let is_counted = |mail: &&Email| mail.subject != "New login to your account";
    mails.iter().filter(is_counted).count()
}

#[tokio::test]
async fn one_unfinished_login_a_day_is_emailed() {
    let app = sending_app_with_alice().await;
    let before = sent(&app).await;
    for _ in 0..4 {
        intrude(&app).await;
        app.advance(601);
        assert_eq!(sent(&app).await, before + 1);
    }
    app.advance(DAY - 3 * 601);
    intrude(&app).await;
    app.advance(601);
    assert_eq!(sent(&app).await, before + 2, "on the next day");
}

#[tokio::test]
async fn a_notice_that_is_being_sent_is_not_withdrawn() {
    let app = app_with_alice().await;
    let alice = app.log_in_until_code("alice").await;
    let database = &app.pool;
    let queued = Queued::take(database, NOW + 31 + LIFE).await.unwrap();
    alice.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(app.mails("alice").await.len(), 1);
    queued.unwrap().remove(database).await.unwrap();
    assert!(app.mails("alice").await.is_empty());
}

/// The owner's own completed logins use nothing up.
#[tokio::test]
async fn withdrawn_notices_do_not_count_for_the_day() {
    let app = sending_app_with_alice().await;
    let before = sent(&app).await;
    for _ in 0..3 {
        log_in(&app, &app.browser()).await;
    }
    intrude(&app).await;
    app.advance(601);
    assert_eq!(sent(&app).await, before + 1);
}

#[tokio::test]
async fn reauthentication_queues_no_notice_of_an_unfinished_login() {
    let app = app_with_alice().await;
    let alice = app.browser();
    log_in(&app, &alice).await;
    app.advance(31);
    let page = alice.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/verify_2fa");
    assert!(app.mails("alice").await.is_empty());
}
