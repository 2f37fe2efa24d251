//! The "This wasn't me" link.

mod button;
mod factor;
mod link;
mod recovery_codes;

use twostep::models::outbox::NoticeKind;

use crate::support::{Browser, Page, TestApp};

const DAY: u64 = 24 * 60 * 60;
const EXPIRED: &str = "This link has expired.";
pub const EVENTS: [NoticeKind; 13] = [
    NoticeKind::PasswordChanged,
    NoticeKind::PasswordReset,
    NoticeKind::TwoFactorEnabled,
    NoticeKind::PhoneChanged,
    NoticeKind::TwoFactorDisabled,
    NoticeKind::Renamed,
    NoticeKind::ManyWrongPasswords,
    NoticeKind::LoginAfterFailures,
    NoticeKind::NewDevice,
    NoticeKind::UnfinishedLogin,
    NoticeKind::RecoveryCodeUsed,
    NoticeKind::RecoveryCodesRenewed,
    NoticeKind::TwoFactorResetByOperator,
];

/// Follows the link and presses the button.
async fn press(browser: &Browser, link: &str) -> Page {
    browser.get(link).await.redirects_to("/not_me");
    press_again(browser).await
}

/// Presses the button, if the page has one.
async fn press_again(browser: &Browser) -> Page {
    let link = browser.get("/not_me").await.value_of("link");
    let link = link.unwrap_or_default();
    browser.post("/not_me", &[("link", &link)]).await
}

#[track_caller]
fn assert_done(page: &Page) {
    assert_eq!(page.status, 200, "{:?}", page.location());
    assert_eq!(page.first("h1").as_deref(), Some("Your account is locked"));
}

async fn assert_expired(app: &TestApp, link: &str) {
    let browser = app.browser();
    let opened = browser.get(link).await;
    opened.redirects_to("/not_me");
    assert_eq!(opened.set_cookie(), None);
    assert!(browser.follow(&opened).await.says(EXPIRED));
    let before = app.dump().await;
    press_again(&browser).await.redirects_to("/not_me");
    assert_eq!(app.dump().await, before);
}
