//! The second step: switching it on and off, codes, and those who try to get
//! around it.

mod account_limits;
mod attacks;
mod attacks_in_flight;
mod attacks_parallel;
mod attacks_swap;
mod calls;
mod check_answers;
mod enabling;
mod failing_closed;
mod hostile_twilio;
mod limits;
mod pumping;
mod secrets;
mod send_answers;
mod slow_twilio;
mod superseding;
mod verifying;

use crate::support::{Browser, Page, TestApp};

/// A code that is not this one.
pub fn wrong(code: &str) -> String {
    let first = if code.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code[1..])
}

/// Asserts a refused code: the form again, and the sentence at its field.
#[track_caller]
pub fn assert_invalid_token(page: &Page) {
    assert_eq!(page.status, 422, "{}", page.text());
    assert_eq!(page.error_at("token").as_deref(), Some("Invalid token"));
    assert_eq!(page.value_of("token"), None, "a code is never shown again");
}

/// Asserts that the code came too late for whoever is signed out.
pub async fn assert_gone(browser: &Browser, token: &str) {
    let page = browser.verify(token).await;
    page.redirects_to("/login");
    assert!(browser.follow(&page).await.says("That code has expired."));
    assert!(!browser.is_logged_in().await);
}

impl TestApp {
    /// How many log-ins are alive.
    pub async fn log_ins(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM sessions WHERE user_id IS NOT NULL")
            .await
    }

    /// How many verifications are open.
    pub async fn open_verifications(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM challenges WHERE closed_at IS NULL")
            .await
    }
}
