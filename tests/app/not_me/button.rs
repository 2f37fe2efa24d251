//! The button: the access that it revokes.

use std::time::{Duration, Instant};

use twostep::models::mail_token::{LinkPurpose, MailToken};
use twostep::models::outbox::{Mail, NoticeKind};
use twostep::models::token::Token;

use super::{EVENTS, assert_done, assert_expired, press, press_again};
use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn the_button_revokes_all_access_and_does_not_log_in() {
    for event in EVENTS {
        let app = TestApp::keeping_mail().await;
        let alice = app.with_two_factor("alice", PHONE).await;
        let other = app.register_and_log_in("harry").await;
        app.advance(31);
        let pending = app.log_in_until_code("alice").await;
        let code = app.last_code();
        let version = "SELECT auth_version FROM users WHERE username_key = 'alice'";
        let before = app.count(version).await;
        app.empty_outbox().await;

        let mailbox = app.browser();
        let link = app.not_me("alice", event).await;
        assert_done(&press(&mailbox, &link).await);
        assert!(!mailbox.is_logged_in().await);
        assert_eq!(mailbox.session_cookie(), None);
        assert!(!alice.is_logged_in().await);
        pending.verify(&code).await.redirects_to("/login");
        assert!(!pending.is_logged_in().await);
        assert!(app.count(version).await > before);
        assert!(other.is_logged_in().await, "another account was logged out");
        let [(Mail::ResetPassword, _)] = app.mails("alice").await[..] else {
            panic!("{event:?}: {:?}", app.mails("alice").await);
        };
        assert_eq!(app.open_challenges().await, 0);
    }
}

#[tokio::test]
async fn the_password_does_not_work_until_a_new_one_is_set() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    let hash = "SELECT COUNT(*) FROM users WHERE password_hash = '!'";
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    assert_done(&press(&app.browser(), &link).await);
    assert_eq!(app.count(hash).await, 1);
    for password in [PASSWORD, "!", "", "a wrong one"] {
        let page = app.browser().log_in("harry", password).await;
        assert_eq!(page.status, 422);
        assert!(page.says("Invalid username or password"));
    }
    assert!(!harry.is_logged_in().await);
    // A reset link that is sent from now on is valid.
    let reset = app.mailed("harry", &LinkPurpose::ResetPassword).await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let reset = Token::received(&reset);
    let found = MailToken::find_reset(database, &reset, now).await.unwrap();
    assert!(found.is_some());
    app.register("ron").await;
    app.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users \
         WHERE username_key = 'ron') WHERE username_key = 'harry'",
    )
    .await;
    app.browser().complete_login("harry").await;
}

#[tokio::test]
async fn attack_13_an_unusable_password_takes_as_long_as_a_wrong_one() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    app.register("ron").await;
    let link = app.not_me("harry", NoticeKind::PasswordReset).await;
    assert_done(&press(&app.browser(), &link).await);
    let browser = app.browser();
    let mut times = [Duration::MAX; 2];
    let are_close = |[a, b]: [Duration; 2]| a * 2 > b && b * 2 > a;
    // On a busy machine, even the fastest of 15 attempts may be slow.
    for round in 0..60 {
        if round >= 15 && are_close(times) {
            break;
        }
        app.advance(120); // so that no limit is met
        for (name, time) in ["harry", "ron"].iter().zip(&mut times) {
            let started = Instant::now();
            let page = browser.log_in(name, "a wrong one").await;
            assert_eq!(page.status, 422);
            *time = started.elapsed().min(*time);
        }
    }
    assert!(are_close(times), "{times:?}");
}

#[tokio::test]
async fn a_link_locks_its_own_account_even_if_another_user_is_logged_in() {
    let app = TestApp::keeping_mail().await;
    let (harry, ron) = (
        app.register_and_log_in("harry").await,
        app.register_and_log_in("ron").await,
    );
    let link = app.not_me("ron", NoticeKind::PasswordChanged).await;
    let page = press(&harry, &link).await;
    assert_done(&page);
    assert!(harry.is_logged_in().await && !ron.is_logged_in().await);
    assert!(app.mails("harry").await.is_empty());

    // This browser's own session of the account ends too.
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let page = press(&harry, &link).await;
    assert_done(&page);
    assert!(page.all("nav a").contains(&"Log in".to_owned()));
    assert_eq!(harry.session_cookie(), None);
    assert!(!harry.is_logged_in().await);
}

#[tokio::test]
async fn the_button_revokes_all_other_links_of_the_account() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    app.register("ron").await;
    let reset = app.mailed("harry", &LinkPurpose::ResetPassword).await;
    let other = app.not_me("harry", NoticeKind::LoginAfterFailures).await;
    let rons = app.not_me("ron", NoticeKind::LoginAfterFailures).await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    assert_done(&press(&app.browser(), &link).await);
    assert_expired(&app, &other).await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let reset = Token::received(&reset);
    let found = MailToken::find_reset(database, &reset, now).await.unwrap();
    assert!(found.is_none());
    assert_done(&press(&app.browser(), &rons).await);
}

/// ASVS 2.3.3
#[tokio::test]
async fn a_failure_changes_nothing_and_keeps_the_link() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let mailbox = app.browser();
    mailbox.get(&link).await;
    let before = app.dump().await;
    app.execute("ALTER TABLE outbox RENAME TO lost").await;
    assert_eq!(press_again(&mailbox).await.status, 500);
    app.execute("ALTER TABLE lost RENAME TO outbox").await;
    assert_eq!(app.dump().await, before);
    assert!(harry.is_logged_in().await);
    assert_done(&press_again(&mailbox).await);
}

#[tokio::test]
async fn a_parallel_login_does_not_survive_the_button() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    for _ in 0..5 {
        let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
        let (mailbox, intruder) = (app.browser(), app.browser());
        mailbox.get(&link).await;
        let (done, _) = tokio::join!(press_again(&mailbox), intruder.log_in("harry", PASSWORD));
        assert_done(&done);
        assert!(!intruder.is_logged_in().await);
    }
}
