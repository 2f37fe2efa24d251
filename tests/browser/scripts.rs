//! The pages' scripts.

use thirtyfour::prelude::*;

use crate::chrome::Chrome;
use crate::support::{PASSWORD, PHONE, TestApp};

/// Opens the code page of a login.
async fn at_the_code(app: &TestApp) -> Chrome {
    app.with_two_factor("harry", PHONE).await;
    app.advance(60);
    let half = app.log_in_until_code("harry").await;
    let chrome = Chrome::open(app).await;
    chrome.take_session(&half).await;
    chrome.goto("/verify_2fa").await;
    chrome
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_countdown_runs_and_then_enables_its_buttons() {
    let app = TestApp::start().await;
    let chrome = at_the_code(&app).await;
    chrome.reads("You can ask for another in 30 seconds.").await;
    let again = chrome.one("form[action$=resend] button").await;
    assert!(!again.is_enabled().await.unwrap());
    chrome.reads("You can ask for another in 29 seconds.").await;
    // Move the browser's clock.
    let later = "const now = Date.now; Date.now = () => now() + 25000";
    chrome.run::<()>(later).await;
    chrome.reads("You can ask for another in 2 seconds.").await;
    assert!(!again.is_enabled().await.unwrap());
    chrome.reads("You can ask for another in 1 second.").await;
    chrome.reads("You can ask for another now.").await;
    assert!(again.is_enabled().await.unwrap());

    let sent = app.messages_sent();
    app.advance(31);
    chrome.press("Send again").await;
    chrome.reads("You can ask for another in 30 seconds.").await;
    chrome.is_at("/verify_2fa").await;
    assert_eq!(app.messages_sent(), sent + 1);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn only_a_complete_code_is_sent_automatically() {
    let app = TestApp::start().await;
    let chrome = at_the_code(&app).await;
    let code = app.last_code();
    let field = chrome.one("#token").await;
    assert_eq!(chrome.run::<String>(ACTIVE).await, "token");
    field.send_keys(&code[..3]).await.unwrap();
    field.send_keys(" ").await.unwrap();
    field.send_keys(&code[3..5]).await.unwrap();
    chrome.is_at("/verify_2fa").await;
    assert!(chrome.has_no("[aria-disabled]").await, "it was sent");
    field.send_keys(&code[5..]).await.unwrap();
    chrome.is_at("/home").await;
}

/// The id of the focused element.
const ACTIVE: &str = "return document.activeElement.id";

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_password_can_be_shown_and_is_hidden_before_it_is_sent() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let chrome = Chrome::open(&app).await;
    chrome.goto("/login").await;
    chrome.fill("username", "harry").await;
    chrome.fill("password", PASSWORD).await;
    let field = chrome.one("#password").await;
    let button = chrome.one(".password-toggle").await;
    for (kind, label) in [("text", "Hide password"), ("password", "Show password")] {
        button.click().await.unwrap();
        assert_eq!(field.prop("type").await.unwrap().unwrap(), kind);
        let shown = button.attr("aria-label").await.unwrap().unwrap();
        assert_eq!(shown, label);
        assert_eq!(chrome.run::<String>(ACTIVE).await, "password");
        assert_eq!(field.prop("value").await.unwrap().unwrap(), PASSWORD);
    }
    button.click().await.unwrap();
    // Records the field's type at submission, as a password manager sees it.
    let keep = "addEventListener('pagehide', () =>
        sessionStorage.setItem('kind', document.getElementById('password').type))";
    chrome.run::<()>(keep).await;
    chrome.press("Log in").await;
    chrome.is_at("/home").await;
    let kind = "return sessionStorage.getItem('kind')";
    assert_eq!(chrome.run::<String>(kind).await, "password");
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_password_field_warns_about_caps_lock() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    chrome.goto("/login").await;
    let press = |lock: bool| {
        format!(
            "document.getElementById('password').dispatchEvent(
                new KeyboardEvent('keydown', {{ key: 'A', modifierCapsLock: {lock} }}))"
        )
    };
    chrome.one("#password").await.click().await.unwrap();
    let hint = chrome.one(".caps-lock").await;
    assert_eq!(hint.text().await.unwrap(), "");
    chrome.run::<()>(&press(true)).await;
    assert_eq!(hint.text().await.unwrap(), "Caps Lock is on.");
    chrome.run::<()>(&press(false)).await;
    assert_eq!(hint.text().await.unwrap(), "");
    chrome.run::<()>(&press(true)).await;
    chrome.one("#username").await.click().await.unwrap();
    assert_eq!(hint.text().await.unwrap(), "");
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_message_can_be_dismissed() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    let edited = harry.post("/edit_profile", &[("username", "harry")]).await;
    edited.redirects_to("/user/harry");
    let chrome = Chrome::open(&app).await;
    chrome.take_session(&harry).await;
    chrome.goto("/user/harry").await;
    chrome.reads("Your profile has been updated").await;
    chrome.one(".btn-close").await.click().await.unwrap();
    assert!(chrome.has_no("[data-message]").await);
    assert_eq!(chrome.run::<String>(ACTIVE).await, "main");
}

/// Whether the browser would ask before it leaves the page.
const ASKS_BEFORE_LEAVING: &str = "return !dispatchEvent(
    new Event('beforeunload', { cancelable: true }))";

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn leaving_recovery_codes_asks_until_the_user_has_saved_them() {
    let app = TestApp::start().await;
    let harry = app.with_two_factor("harry", PHONE).await;
    let chrome = Chrome::open(&app).await;
    chrome.take_session(&harry).await;
    for save in ["copy", "beforeprint", "Download", "I have saved them"] {
        chrome.goto("/recovery_codes").await;
        assert!(!chrome.run::<bool>(ASKS_BEFORE_LEAVING).await);
        chrome.press("Make new recovery codes").await;
        chrome.one(".recovery-tools").await;
        assert!(chrome.run::<bool>(ASKS_BEFORE_LEAVING).await, "{save}");
        match save {
            "Download" => chrome.press(save).await,
            "I have saved them" => chrome.follow(save).await,
            event => {
                let event = format!("dispatchEvent(new Event('{event}'))");
                chrome.run::<()>(&event).await;
            }
        }
        assert!(!chrome.run::<bool>(ASKS_BEFORE_LEAVING).await, "{save}");
    }
    chrome.is_at("/home").await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_wait_of_a_limit_counts_down() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        app.browser().log_in("nobody", "x").await;
    }
    let chrome = Chrome::open(&app).await;
    chrome.goto("/login").await;
    chrome.fill("username", "nobody").await;
    chrome.fill("password", "x").await;
    chrome.press("Log in").await;
    let alert = chrome.one("[data-countdown]").await;
    let wait: i64 = alert
        .attr("data-countdown")
        .await
        .unwrap()
        .unwrap()
        .parse()
        .unwrap();
    chrome.reads("Try again in").await;
    let later = format!(
        "const now = Date.now; Date.now = () => now() + {} * 1000",
        wait - 20
    );
    chrome.run::<()>(&later).await;
    chrome.reads("seconds.").await;
    chrome
        .run::<()>("const then = Date.now; Date.now = () => then() + 30000")
        .await;
    chrome.reads("You can try again now.").await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn recovery_codes_can_be_copied_and_downloaded() {
    let app = TestApp::start().await;
    let harry = app.with_two_factor("harry", PHONE).await;
    let chrome = Chrome::open(&app).await;
    chrome.take_session(&harry).await;
    chrome.goto("/recovery_codes").await;
    chrome.press("Make new recovery codes").await;
    chrome.one(".recovery-tools").await;
    let mut codes = Vec::new();
    let shown = By::Css(".recovery-codes code");
    for code in chrome.driver.find_all(shown).await.unwrap() {
        codes.push(code.text().await.unwrap());
    }
    assert_eq!(codes.len(), 10);
    assert!(chrome.run::<bool>(ASKS_BEFORE_LEAVING).await);

    let may = serde_json::json!({
        "origin": chrome.base,
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
    });
    chrome.devtools("Browser.grantPermissions", may).await;
    chrome.press("Copy").await;
    chrome.reads("Codes copied.").await;
    assert!(!chrome.run::<bool>(ASKS_BEFORE_LEAVING).await);
    let read = "const done = arguments[0];
        navigator.clipboard.readText().then(done, (error) => done(String(error)))";
    let copied = chrome.driver.execute_async(read, Vec::new()).await;
    let copied: String = copied.unwrap().convert().unwrap();
    assert_eq!(copied, format!("{}\n", codes.join("\n")));

    chrome.press("Download").await;
    chrome.reads("Codes saved to your downloads.").await;
    let file = chrome
        .downloads
        .path()
        .join("twostep-recovery-codes-harry.txt");
    assert!(chrome.until(async || file.exists()).await, "no file");
    let kept = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = kept.split("\r\n").collect();
    assert_eq!(lines[0], format!("Twostep ({})", app.address));
    assert_eq!(
        lines[1..4],
        ["Recovery codes for harry", "Each works once.", ""]
    );
    assert_eq!(lines[4..14], codes);
    assert_eq!(lines[14..], [""]);
    assert_eq!(app.recovery_codes_left("harry").await, 10);
}
