//! Password changes and resets.

mod change;
mod invalid_forms;
mod link;
mod notices;
mod request;
mod request_limits;
mod reset;

use crate::support::{Browser, Page, TestApp};

/// Another strong password.
const NEW: &str = "a slow boat to nowhere";

const EXPIRED: &str = "This link has expired.";

const LINKS: &str = "SELECT COUNT(*) FROM mail_tokens WHERE purpose = 'reset_password'";

/// Asserts a form that is shown again with exactly these errors.
#[track_caller]
fn assert_errors(page: &Page, errors: &[(&str, &str)]) {
    assert_eq!(page.status, 422, "{}", page.text());
    assert_eq!(page.all(".invalid-feedback").len(), errors.len());
    for (field, sentence) in errors {
        let at_field = page.error_at(field).unwrap_or_default();
        assert!(at_field.contains(sentence), "{field}: {at_field:?}");
    }
}

/// Opens a new link of the user.
async fn with_link(app: &TestApp, username: &str) -> Browser {
    let browser = app.browser();
    let page = browser.get(&app.reset_link(username).await).await;
    page.redirects_to("/reset_password");
    browser
}

async fn reset(browser: &Browser, password: &str) -> Page {
    let fields = [("password", password), ("confirm_password", password)];
    browser.post("/reset_password", &fields).await
}

async fn change(browser: &Browser, current: &str, password: &str) -> Page {
    let fields = [
        ("current_password", current),
        ("password", password),
        ("confirm_password", password),
    ];
    browser.post("/change_password", &fields).await
}

/// Asserts which of the two passwords is the account's.
async fn assert_password(app: &TestApp, username: &str, right: &str, wrong: &str) {
    let page = app.browser().log_in(username, wrong).await;
    assert_eq!(page.status, 422, "{wrong} is still right");
    let page = app.browser().log_in(username, right).await;
    assert_eq!(page.status, 303, "{right} is wrong");
}
