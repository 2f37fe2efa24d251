//! Forms with a keyboard, with a password manager, and after the back button.

use serde::Deserialize;
use thirtyfour::prelude::*;

use crate::chrome::Chrome;
use crate::keyboard::{tab_to, type_keys};
use crate::support::{PASSWORD, PHONE, TestApp};
use crate::tour::every_page;

/// A field as the browser reports it. It turns unknown types into `text`, and unknown values
/// of autocomplete into an empty string.
#[derive(Deserialize, Debug)]
struct Field {
    name: String,
    kind: String,
    autocomplete: String,
    /// Its form asks to confirm a new password.
    is_confirmed: bool,
}

/// The search field in the list of countries is not ours.
const FIELDS: &str = "return [...document.querySelectorAll(
    'main input:not([type=search]), main textarea')]
    .map(({ name, type, autocomplete, form }) => ({ name, kind: type, autocomplete,
        is_confirmed: 'confirm_password' in form.elements }))";

/// ASVS 6.2.7
#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn password_managers_know_every_field_of_every_form() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut seen = std::collections::BTreeSet::new();
    every_page(&app, &chrome, async |page: &str| {
        for field in chrome.run::<Vec<Field>>(FIELDS).await {
            let password = if field.is_confirmed {
                "new-password"
            } else {
                "current-password"
            };
            let expected = match field.name.as_str() {
                "username" => ("text", "username"),
                "email" => ("email", "email"),
                "password" => ("password", password),
                "current_password" => ("password", "current-password"),
                "confirm_password" => ("password", "new-password"),
                "verification_phone" => ("tel", "tel"),
                "token" => ("text", "one-time-code"),
                "recovery_code" | "name" => ("text", "off"),
                "about_me" => ("textarea", ""),
                "remember_me" | "trust_device" => ("checkbox", ""),
                "next" | "link" | "set" | "setup" => ("hidden", ""),
                // The username for password managers, which is not sent.
                "" => ("text", "username"),
                _ => panic!("{page}: {field:?}"),
            };
            let found = (field.kind.as_str(), field.autocomplete.as_str());
            assert_eq!(found, expected, "{page}: {}", field.name);
            seen.insert(field.name);
        }
    })
    .await;
    assert_eq!(seen.len(), 17, "{seen:?}");
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_user_can_register_and_log_in_by_keyboard_with_visible_focus() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    chrome.goto("/register").await;
    tab_to(&chrome, ".skip-link").await;
    type_keys(&chrome, Key::Enter).await;
    for (field, text) in [
        ("username", "harry"),
        ("email", "harry@example.com"),
        ("password", PASSWORD),
        ("confirm_password", PASSWORD),
    ] {
        tab_to(&chrome, &format!("[name={field}]")).await;
        type_keys(&chrome, text).await;
    }
    tab_to(&chrome, "main form button[type=submit]").await;
    type_keys(&chrome, Key::Enter).await;
    chrome.is_at("/login").await;

    tab_to(&chrome, "[name=username]").await;
    type_keys(&chrome, "harry").await;
    tab_to(&chrome, "[name=password]").await;
    type_keys(&chrome, PASSWORD).await;
    tab_to(&chrome, "[name=remember_me]").await;
    type_keys(&chrome, " ").await;
    tab_to(&chrome, "main form button[type=submit]").await;
    type_keys(&chrome, Key::Enter).await;
    chrome.is_at("/home").await;
    tab_to(&chrome, "main a[href='/enable_2fa']").await;
    type_keys(&chrome, Key::Enter).await;
    chrome.is_at("/enable_2fa").await;
}

/// ASVS 14.3.1
#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn attack_17_the_back_button_shows_nothing_after_logout() {
    let app = TestApp::start().await;
    let harry = app.with_two_factor("harry", PHONE).await;
    let chrome = Chrome::open(&app).await;
    chrome.take_session(&harry).await;
    for (path, words) in [
        ("/user/harry", "•••• 267"),
        ("/security", "Recent activity"),
        ("/edit_profile", "Save"),
        ("/home", "Good to see you, harry."),
    ] {
        chrome.goto(path).await;
        chrome.reads(words).await;
    }
    chrome.press("Log out").await;
    chrome.is_at("/login").await;
    for path in [
        "%2Fhome",
        "%2Fedit_profile",
        "%2Fsecurity",
        "%2Fuser%2Fharry",
    ] {
        chrome.driver.back().await.unwrap();
        chrome.is_at(&format!("/login?next={path}")).await;
        let source = chrome.driver.source().await.unwrap();
        assert!(source.contains("Please log in to access this page."));
        let secrets = ["Good to see you", "•••• 267", "Recent activity", "harry@"];
        assert!(
            !secrets.iter().any(|words| source.contains(words)),
            "{source}"
        );
    }
}
