//! Two-factor authentication: turning it on and off, codes, limits and attacks.

mod account_limits;
mod attacks;
mod attacks_in_flight;
mod attacks_parallel;
mod attacks_swap;
mod calls;
mod check_answers;
mod code_page;
mod enabling;
mod failing_closed;
mod fraud_guard;
mod hostile_twilio;
mod limits;
mod pumping;
mod secrets;
mod send_answers;
mod sharing;
mod slow_twilio;
mod verifying;

use crate::support::{Browser, PHONE, Page, TestApp};

/// An app with a user who has two-factor authentication.
async fn two_factor_app(name: &str) -> TestApp {
    two_factor_login(name).await.0
}

/// The same, with the browser of that user.
async fn two_factor_login(name: &str) -> (TestApp, Browser) {
    let app = TestApp::start().await;
    let browser = app.with_two_factor(name, PHONE).await;
    (app, browser)
}

/// The same, with a browser whose login waits for the code.
async fn pending_login(name: &str) -> (TestApp, Browser) {
    let app = two_factor_app(name).await;
    let browser = app.log_in_until_code(name).await;
    (app, browser)
}

/// An app with a user without two-factor authentication, and the browser of that user.
async fn register_and_log_in(name: &str) -> (TestApp, Browser) {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in(name).await;
    (app, browser)
}

/// A wrong code.
pub fn wrong(code: &str) -> String {
    let first = if code.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code[1..])
}

/// Asserts a refused code: the form again, with the error at its field.
#[track_caller]
pub fn assert_invalid_token(page: &Page) {
    assert_eq!(page.status, 422, "{}", page.text());
    assert_eq!(page.error_at("token").as_deref(), Some("Invalid token"));
    assert_eq!(page.value_of("token"), None, "a code is never shown again");
}

/// Asserts that a limit was exceeded, and the seconds until a retry.
#[track_caller]
pub fn assert_retry_after(page: &Page, seconds: &str) {
    let found = (page.status, page.header("retry-after"));
    assert_eq!(found, (429, Some(seconds)), "{}", page.text());
}

/// Asserts that the code came too late for a signed-out user.
pub async fn assert_gone(browser: &Browser, token: &str) {
    let page = browser.verify(token).await;
    page.redirects_to("/login");
    assert!(browser.follow(&page).await.says("That code has expired."));
    assert!(!browser.is_logged_in().await);
}

impl Browser {
    /// Sends the form with a phone number. Asserts that the code page follows.
    pub async fn add_phone(&self, phone: &str) {
        self.enable(phone).await.redirects_to("/verify_2fa");
    }

    /// Requests another code by `path`. Asserts that the code page follows.
    async fn request_code(&self, path: &str) {
        self.post(path, &[]).await.redirects_to("/verify_2fa");
    }
}

impl TestApp {
    /// Counts the active logins.
    pub async fn logins(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM sessions WHERE user_id IS NOT NULL")
            .await
    }

    /// Counts the open challenges.
    pub async fn open_challenges(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM challenges WHERE closed_at IS NULL")
            .await
    }
}
