//! Twilio's fraud guard blocks a code. At a login the user may have the next one sent anyway,
//! since the number is verified.

use twostep::dev::simulator::{BLOCKED, Failure};
use twostep::services::twilio_verify::Channel;

use super::{register_and_log_in, two_factor_app, two_factor_login};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const BLOCKED_AT_LOGIN: &str = "The code was blocked to protect your number from fraud.";
const CANNOT_SEND: &str = "We cannot send codes to this number.";

/// Fraud guard blocks every code that is sent with Twilio's risk check.
fn block(app: &TestApp, code: i64) {
    app.phone()
        .fail_with(Some(Failure::Status(403, Some(code))));
}

/// An app in which fraud guard has blocked the code of a login.
async fn blocked_login() -> (TestApp, Browser) {
    let app = two_factor_app("harry").await;
    block(&app, 60410);
    let browser = app.log_in_until_code("harry").await;
    (app, browser)
}

async fn send_again(browser: &Browser) -> Page {
    browser.post("/verify_2fa/resend", &[]).await
}

fn creates(app: &TestApp) -> u64 {
    app.phone().counters().creates
}

#[tokio::test]
async fn a_login_code_that_fraud_guard_blocked_is_sent_when_the_user_asks_again() {
    for code in [60410, 60605] {
        let app = two_factor_app("harry").await;
        let sent = app.messages_sent();
        block(&app, code);
        let browser = app.log_in_until_code("harry").await;
        let page = browser.get("/verify_2fa").await;
        assert!(page.says(BLOCKED_AT_LOGIN), "{code}: {}", page.text());
        let button = page.all("form[action='/verify_2fa/resend'] button");
        assert_eq!(button, ["Send it anyway"], "{code}");
        assert_eq!(app.messages_sent(), sent, "{code}");

        send_again(&browser).await.redirects_to("/verify_2fa");
        assert_eq!(app.messages_sent(), sent + 1, "{code}");
        assert_eq!(app.last_message().channel, Channel::Sms, "{code}");
        app.phone().fail_with(None);
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn the_demo_number_that_fraud_guard_blocks_gets_its_code_the_second_time() {
    let app = two_factor_app("harry").await;
    app.set_phone("harry", BLOCKED).await;
    let browser = app.log_in_until_code("harry").await;
    assert!(browser.get("/verify_2fa").await.says(BLOCKED_AT_LOGIN));
    send_again(&browser).await.redirects_to("/verify_2fa");
    let sent = app.messages_sent();
    // Only the code after a blocked one is sent without the risk check.
    assert_eq!(send_again(&browser).await.status, 422);
    assert_eq!(app.messages_sent(), sent);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_second_code_that_fraud_guard_blocks_is_sent_the_third_time() {
    let app = two_factor_app("harry").await;
    let browser = app.log_in_until_code("harry").await;
    let sent = app.messages_sent();
    block(&app, 60410);
    app.advance(31);
    let page = send_again(&browser).await;
    assert_eq!(page.status, 422);
    assert!(page.says(BLOCKED_AT_LOGIN), "{}", page.text());
    assert!(
        page.text()
            .contains("You can ask for a code in 30 seconds.")
    );
    app.advance(31);
    send_again(&browser).await.redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), sent + 1);
}

#[tokio::test]
async fn another_login_has_the_risk_check_again() {
    let (app, _) = blocked_login().await;
    let sent = app.messages_sent();
    let other = app.log_in_until_code("harry").await;
    assert_eq!(app.messages_sent(), sent);
    assert!(other.get("/verify_2fa").await.says(BLOCKED_AT_LOGIN));
}

#[tokio::test]
async fn no_call_follows_if_the_code_fails_without_the_risk_check() {
    let (app, browser) = blocked_login().await;
    let (sent, before) = (app.messages_sent(), creates(&app));
    app.phone().fail_with(Some(Failure::RefuseSms));
    let page = send_again(&browser).await;
    assert_eq!(page.status, 503);
    assert_eq!(creates(&app) - before, 1);
    assert_eq!(app.messages_sent(), sent);
}

#[tokio::test]
async fn a_call_has_the_risk_check() {
    let (app, browser) = blocked_login().await;
    let sent = app.messages_sent();
    let page = browser.post("/verify_2fa/call", &[]).await;
    assert_eq!(page.status, 422);
    assert_eq!(app.messages_sent(), sent);
}

#[tokio::test]
async fn a_reauthentication_has_the_risk_check_each_time() {
    let (app, browser) = two_factor_login("harry").await;
    app.advance(600);
    block(&app, 60410);
    browser.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    let sent = app.messages_sent();
    for _ in 0..2 {
        let page = send_again(&browser).await;
        assert_eq!(page.status, 422);
        assert!(page.says(CANNOT_SEND), "{}", page.text());
    }
    assert_eq!(app.messages_sent(), sent);
}

#[tokio::test]
async fn adding_a_phone_has_the_risk_check_each_time() {
    let (app, browser) = register_and_log_in("harry").await;
    block(&app, 60410);
    for _ in 0..2 {
        let page = browser.enable(PHONE).await;
        let error = page.error_at("verification_phone");
        assert_eq!(error.as_deref(), Some(CANNOT_SEND));
    }
    // Nor is a code sent again to a number that is being added.
    app.phone().fail_with(None);
    browser.add_phone(OTHER_PHONE).await;
    block(&app, 60605);
    for _ in 0..2 {
        app.advance(31);
        assert_eq!(send_again(&browser).await.status, 422);
    }
    assert_eq!(app.messages_sent(), 1);
}

#[tokio::test]
async fn only_fraud_guard_is_overridden() {
    for (status, code) in [(403, 60238), (400, 21408), (400, 60200), (429, 60203)] {
        let app = two_factor_app("harry").await;
        let refusal = Failure::Status(status, Some(code));
        app.phone().fail_with(Some(refusal));
        let browser = app.log_in_until_code("harry").await;
        let sent = app.messages_sent();
        block(&app, 60410);
        assert_eq!(send_again(&browser).await.status, 422, "{code}");
        assert_eq!(app.messages_sent(), sent, "{code}");
    }
}
