//! Turning off two-factor authentication for a user who lost the phone.

use super::{catch_up, run};
use crate::support::{OTHER_PHONE, PHONE, TestApp, link};

const RESET: [&str; 3] = ["user", "reset-2fa", "Alice"];

/// ASVS 6.5.6
#[tokio::test]
async fn after_a_reset_the_password_is_enough_and_the_user_is_notified() {
    let app = TestApp::start().await;
    catch_up(&app);
    let browser = app.with_two_factor("alice", PHONE).await;
    let bob = app.with_two_factor("bob", OTHER_PHONE).await;
    app.next_mail().await;
    app.next_mail().await;
    app.advance(60);
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let output = run(&app, &RESET).await.output();
    assert_eq!(
        output,
        "Two-factor authentication of alice is off, and alice is logged out on all devices.\n\
         The server emails a notice to alice@example.com.\n"
    );

    assert_eq!(app.phone_of("alice").await, None);
    assert!(!browser.is_logged_in().await);
    pending.verify(&code).await.redirects_to("/login");
    pending.complete_login("alice").await;
    let recorded = "SELECT COUNT(*) FROM activity WHERE address IS NULL \
                    AND event = 'two_factor_reset_by_operator'";
    assert_eq!(app.count(recorded).await, 1);

    catch_up(&app);
    app.state.mail.wake();
    let mut mail = app.next_mail().await;
    if mail.subject == "New login to your account" {
        mail = app.next_mail().await;
    }
    assert_eq!(mail.to, "alice@example.com");
    assert!(mail.text.contains("operator"), "{}", mail.text);
    // Its link can lock the account, in case the user asked for no reset.
    let page = pending.follow(&pending.get(&link(&mail)).await).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("operator"), "{}", page.text());

    assert!(bob.is_logged_in().await);
    assert_eq!(app.phone_of("bob").await.as_deref(), Some(OTHER_PHONE));
}

#[tokio::test]
async fn after_a_reset_no_link_restores_the_number() {
    let app = TestApp::keeping_mail().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.enable(&browser, OTHER_PHONE).await;
    let mut links = Vec::new();
    for notice in app.notices("alice").await {
        links.push(app.not_me_of("alice", &notice).await);
    }
    run(&app, &RESET).await.output();
    // Nor one that is made when a queued notice is sent.
    for notice in app.notices("alice").await {
        links.push(app.not_me_of("alice", &notice).await);
    }
    for link in links {
        let reader = app.browser();
        reader.get(&link).await;
        if let Some(name) = reader.get("/not_me").await.value_of("link") {
            reader.post("/not_me", &[("link", &name)]).await;
        }
        assert_eq!(app.phone_of("alice").await, None);
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM factors").await, 0);
}

#[tokio::test]
async fn a_reset_deletes_the_recovery_codes_of_that_account_only() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.with_two_factor("bob", OTHER_PHONE).await;
    let codes = "SELECT COUNT(*) FROM recovery_codes";
    assert_eq!(app.count(codes).await, 20);
    run(&app, &RESET).await.output();
    let of_bob = "SELECT COUNT(*) FROM recovery_codes JOIN users ON users.id = user_id \
                  WHERE username_key = 'bob'";
    assert_eq!((app.count(codes).await, app.count(of_bob).await), (10, 10));
}

#[tokio::test]
async fn a_reset_without_two_factor_authentication_changes_nothing() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    browser.post("/disable_2fa", &[]).await;
    let former = "SELECT COUNT(*) FROM factors WHERE removed_at IS NOT NULL";
    assert_eq!(app.count(former).await, 1);
    app.advance(60);
    app.mail_to("alice@example.com").await;
    let before = app.dump().await;
    let output = run(&app, &RESET).await.output();
    assert_eq!(
        output,
        "Two-factor authentication of alice is already off. Nothing was changed.\n"
    );
    assert_eq!(app.dump().await, before);
    assert_eq!(app.count(former).await, 1);
    assert!(browser.is_logged_in().await);
}
