//! Emails that an account can cause at will, and emails that a user waits for.

use twostep::models::outbox::Mail;
use twostep::tasks::mail::CONNECTIONS;

use super::{ATTACKER, DAY, HOUR, assert_limited};
use crate::support::{BEHIND_PROXY, Browser, PASSWORD, Page, TestApp, link};

const OTHER_PASSWORD: &str = "a slow boat to nowhere";

/// Changes the password for the nth time, from one of two to the other.
async fn change(browser: &Browser, number: usize) -> Page {
    let mut passwords = [PASSWORD, OTHER_PASSWORD];
    passwords.rotate_left(number % 2);
    let [current, new] = passwords;
    let fields = [
        ("current_password", current),
        ("password", new),
        ("confirm_password", new),
    ];
    browser.post("/change_password", &fields).await
}

/// Measured before: 25 emails a second to an address that nobody confirmed, and no reset
/// link for anybody else after 90 seconds.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn password_changes_are_ten_an_hour_and_another_users_reset_link_is_sent_first() {
    // There is no mail server yet, so the emails wait.
    let app = TestApp::with_users(&[("SMTP_URL", "smtp://127.0.0.1:1")]).await;
    let mallory = app.attacker("mallory", ATTACKER).await;
    let too_many = "Too many changes of your password.";
    for number in 0..10 {
        let page = change(&mallory, number).await;
        page.redirects_to("/user/mallory");
    }
    assert_limited(&change(&mallory, 10).await, too_many, HOUR);
    app.users_log_in().await;
    assert_eq!(app.notices("mallory").await.len(), 10);

    // Thirty a day are permitted.
    let of_day = "UPDATE rate_limits SET count = 29 WHERE capacity = 30 AND count = 10";
    assert_eq!(app.execute(of_day).await, 1);
    app.advance(HOUR);
    mallory.reauth(PASSWORD).await.redirects_to("/home");
    let page = change(&mallory, 10).await;
    page.redirects_to("/user/mallory");
    assert_limited(&change(&mallory, 11).await, too_many, DAY);

    // Harry requests a reset link, after all these.
    let harry = app.browser().at("198.51.100.7");
    let fields = [("email", "harry@example.com")];
    let page = harry.post("/reset_password_request", &fields).await;
    page.redirects_to("/login");
    assert_eq!(app.mails("harry").await[0].0, Mail::ResetPassword);
    app.mail_settles().await;

    // The program starts with a mail server. The other emails have been due for longer.
    app.execute("UPDATE outbox SET next_attempt_at = created_at")
        .await;
    let now = app.state.clock.now() + 15 * 60;
    let app = app.restarted_at(now, &[BEHIND_PROXY]).await;
    let mut mails = Vec::new();
    while mails.len() < 12 {
        let mail = app.next_mail().await;
        if mail.subject != "New login to your account" {
            mails.push(mail);
        }
    }
    let to_mallory = mails.iter().filter(|it| it.to == "mallory@example.com");
    assert_eq!(to_mallory.count(), 11);
    let place = mails.iter().position(|it| it.to == "harry@example.com");
    let place = place.expect("no link came");
    assert!(place < CONNECTIONS, "{place}: so many go at the same time");

    let page = harry_resets(&app, &link(&mails[place])).await;
    page.redirects_to("/login");
    let harry = app.browser().at("198.51.100.7");
    let page = harry.log_in("harry", OTHER_PASSWORD).await;
    page.redirects_to("/home");
    app.alice_logs_in().await;
}

async fn harry_resets(app: &TestApp, link: &str) -> Page {
    let browser = app.browser().at("198.51.100.7");
    browser.get(link).await.redirects_to("/reset_password");
    let fields = [
        ("password", OTHER_PASSWORD),
        ("confirm_password", OTHER_PASSWORD),
    ];
    browser.post("/reset_password", &fields).await
}
