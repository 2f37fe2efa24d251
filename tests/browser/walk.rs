//! The main flow from the README.

use crate::chrome::Chrome;
use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_main_flow_works_with_javascript() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    main_flow(&app, &chrome, None).await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_main_flow_works_without_javascript() {
    let app = TestApp::start().await;
    let chrome = Chrome::without_javascript(&app).await;
    chrome.goto("/login").await;
    assert!(chrome.has_no(".password-toggle").await, "a script ran");
    main_flow(&app, &chrome, Some("Verify")).await;
}

/// Registers, enables two-factor authentication, logs in with a code and with a recovery code,
/// and disables it. Without JavaScript, `button` sends the code.
async fn main_flow(app: &TestApp, chrome: &Chrome, button: Option<&str>) {
    chrome.goto("/").await;
    chrome.reads("Please log in to access this page.").await;
    chrome.follow("Register Here").await;
    chrome.fill("username", "Harry").await;
    chrome.fill("email", "harry@example.com").await;
    chrome.fill("password", PASSWORD).await;
    chrome.fill("confirm_password", PASSWORD).await;
    chrome.press("Register").await;
    chrome.is_at("/login").await;
    chrome
        .reads("You have successfully registered. Login to continue")
        .await;
    log_in(chrome, "harry").await;
    chrome.is_at("/home").await;

    chrome.follow("Enable two-factor authentication").await;
    chrome.fill("verification_phone", "+254 720 227267").await;
    chrome.press("Send the code").await;
    chrome.is_at("/verify_2fa").await;
    chrome.reads("We texted a code to +254720227267").await;
    enter_code(chrome, button).await;
    chrome
        .reads("You have enabled two-factor authentication")
        .await;
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(PHONE));
    let recovery_codes = recovery_codes(chrome).await;
    assert_eq!(recovery_codes.len(), 10);
    chrome.follow("I have saved them").await;
    chrome.is_at("/home").await;
    chrome.reads("Your account is protected").await;

    chrome.press("Log out").await;
    chrome.is_at("/login").await;
    log_in(chrome, "harry").await;
    chrome.is_at("/verify_2fa").await;
    enter_code(chrome, button).await;
    chrome.is_at("/home").await;

    chrome.press("Log out").await;
    chrome.is_at("/login").await;
    log_in(chrome, "harry").await;
    chrome.follow("Use a recovery code").await;
    chrome.fill("recovery_code", &recovery_codes[0]).await;
    chrome.press("Continue").await;
    chrome.is_at("/home").await;
    assert_eq!(app.recovery_codes_left("harry").await, 9);

    chrome.follow("Profile").await;
    chrome.is_at("/user/Harry").await;
    chrome.follow("Disable two-factor authentication").await;
    chrome.press("Disable two-factor authentication").await;
    chrome
        .reads("You have disabled two-factor authentication")
        .await;
    assert_eq!(app.phone_of("harry").await, None);
}

async fn log_in(chrome: &Chrome, username: &str) {
    chrome.fill("username", username).await;
    chrome.fill("password", PASSWORD).await;
    chrome.press("Log in").await;
}

async fn enter_code(chrome: &Chrome, button: Option<&str>) {
    let code = chrome.read_code().await;
    chrome.fill("token", &code).await;
    if let Some(button) = button {
        chrome.press(button).await;
    }
}

async fn recovery_codes(chrome: &Chrome) -> Vec<String> {
    let mut codes = Vec::new();
    chrome.one(".recovery-codes").await;
    let items = thirtyfour::By::Css(".recovery-codes code");
    for code in chrome.driver.find_all(items).await.unwrap() {
        codes.push(code.text().await.unwrap());
    }
    codes
}
