//! The notice about a login from a new device.

use twostep::models::outbox::{Mail, NoticeKind};

use super::{DAY, log_out};
use crate::support::{PASSWORD, PHONE, TestApp, link};

/// How many notices about new devices are queued.
async fn notices(app: &TestApp, username: &str) -> usize {
    let is_about_device = |mail: &Mail| match mail {
        Mail::Notice(notice) => notice.event == NoticeKind::NewDevice,
        Mail::ResetPassword => false,
    };
    let mails = app.all_mails(username).await;
    mails
        .iter()
        .filter(|(mail, _)| is_about_device(mail))
        .count()
}

/// ASVS 6.3.5
#[tokio::test]
async fn a_login_from_a_new_device_is_emailed_once() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let first = app.browser();
    for _ in 0..2 {
        first.complete_login("alice").await;
        log_out(&first).await;
    }
    assert_eq!(notices(&app, "alice").await, 0, "not for the first device");
    let second = app.browser();
    for _ in 0..2 {
        second.complete_login("alice").await;
        log_out(&second).await;
        assert_eq!(notices(&app, "alice").await, 1);
    }
    // Another account does not know this browser. It is its first device.
    app.register("bella").await;
    second.complete_login("bella").await;
    log_out(&second).await;
    assert_eq!(notices(&app, "bella").await, 0);
    first.complete_login("bella").await;
    assert_eq!(notices(&app, "bella").await, 1);
}

#[tokio::test]
async fn only_a_completed_login_is_emailed() {
    let app = TestApp::keeping_mail().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    browser.verify("000000").await;
    browser.log_in("alice", "a wrong one").await;
    assert_eq!(notices(&app, "alice").await, 0);
    browser.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(notices(&app, "alice").await, 1);
}

#[tokio::test]
async fn an_account_without_a_known_device_gets_no_notice() {
    let app = TestApp::keeping_mail().await;
    app.register_and_log_in("alice").await;
    // An account from before devices were recorded.
    app.execute("DELETE FROM devices").await;
    let browser = app.log_in("alice").await;
    assert_eq!(notices(&app, "alice").await, 0);
    assert!(browser.is_logged_in().await);
    app.log_in("alice").await;
    assert_eq!(notices(&app, "alice").await, 1);
}

#[tokio::test]
async fn the_email_names_the_browser_and_has_a_link_to_undo_the_login() {
    let app = TestApp::start().await;
    app.register_and_log_in("alice").await;
    let intruder = app.log_in("alice").await;
    let mails = app.mail_to("alice@example.com").await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, "New login to your account");
    for words in ["127.0.0.1", "an unknown browser", "had not logged in"] {
        assert!(mails[0].text.contains(words), "{}", mails[0].text);
    }
    let owner = app.browser();
    owner.get(&link(&mails[0])).await.redirects_to("/not_me");
    let form = owner.get("/not_me").await.value_of("link").unwrap();
    assert_eq!(owner.post("/not_me", &[("link", &form)]).await.status, 200);
    assert!(!intruder.is_logged_in().await);
    assert_eq!(intruder.log_in("alice", PASSWORD).await.status, 422);
}

#[tokio::test]
async fn ten_notices_are_sent_within_an_hour_and_thirty_within_a_day() {
    let app = TestApp::keeping_mail().await;
    app.register_and_log_in("alice").await;
    for (pause, logins, expected) in [
        (0, 11, 10),
        (3_600, 11, 10),
        (3_600, 11, 10),
        (3_600, 1, 0),
        (DAY - 10_801, 1, 0),
        (1, 1, 1),
    ] {
        app.empty_outbox().await;
        app.advance(pause);
        for _ in 0..logins {
            app.log_in("alice").await;
        }
        assert_eq!(notices(&app, "alice").await, expected, "after {pause}");
    }
}
