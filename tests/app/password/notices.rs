//! The notice of a new password, and that a reset is one transaction.

use twostep::models::outbox::NoticeKind;

use super::{NEW, assert_password, change, reset, with_link};
use crate::notices::only_notice;
use crate::support::{PASSWORD, TestApp};

/// ASVS 6.3.7
#[tokio::test]
async fn a_change_and_a_reset_are_emailed_once_each_without_a_secret() {
    let app = TestApp::keeping_mail().await;
    let browser = app.register_and_log_in("alice").await;
    change(&browser, "a wrong one", NEW).await;
    assert!(app.mails("alice").await.is_empty());
    change(&browser, PASSWORD, NEW)
        .await
        .redirects_to("/user/alice");
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::PasswordChanged);
    assert!(!format!("{:?}", app.mails("alice").await).contains(NEW));

    app.empty_outbox().await;
    let link = with_link(&app, "alice").await;
    reset(&link, PASSWORD).await.redirects_to("/login");
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::PasswordReset);
    assert!(!format!("{:?}", app.mails("alice").await).contains(PASSWORD));
}

/// ASVS 2.3.3
#[tokio::test]
async fn a_reset_that_cannot_end_the_sessions_sets_no_password_and_keeps_its_link() {
    let app = TestApp::keeping_mail().await;
    let browser = app.register_and_log_in("alice").await;
    let link = with_link(&app, "alice").await;
    let before = app.dump().await;
    app.break_when("broken", "BEFORE DELETE ON sessions", "1 = 1")
        .await;
    assert_eq!(reset(&link, NEW).await.status, 500);
    assert_eq!(app.dump().await, before);
    assert!(browser.is_logged_in().await);
    app.drop_trigger("broken").await;
    reset(&link, NEW).await.redirects_to("/login");
    assert_password(&app, "alice", NEW, PASSWORD).await;
    assert!(!browser.is_logged_in().await);
}
