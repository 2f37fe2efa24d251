//! The phone number field with its list of countries.

use thirtyfour::prelude::*;

use crate::chrome::Chrome;
use crate::keyboard::{tab_to, type_keys};
use crate::support::{PHONE, TestApp};

/// Opens the page as a logged-in user.
async fn at_the_field(app: &TestApp, chrome: &Chrome) {
    let harry = app.register_and_log_in("harry").await;
    chrome.take_session(&harry).await;
    chrome.goto("/enable_2fa").await;
}

/// The label of the country button.
async fn country(chrome: &Chrome) -> String {
    let button = chrome.one(".iti__selected-country").await;
    button.attr("aria-label").await.unwrap().unwrap()
}

/// The sentence about the number.
async fn verdict(chrome: &Chrome) -> String {
    let verdict = chrome.one("#verification_phone-verdict").await;
    verdict.text().await.unwrap()
}

async fn shows_verdict(chrome: &Chrome, sentence: &str) {
    let so = chrome
        .until(async || verdict(chrome).await == sentence)
        .await;
    assert!(so, "{sentence}: {}", verdict(chrome).await);
}

/// The browser has loaded libphonenumber.
async fn has_loaded_utils(chrome: &Chrome) -> bool {
    let fetched = "return performance.getEntriesByType('resource')
        .some(({ name, responseEnd }) => name.includes('/utils.') && responseEnd > 0)";
    chrome.run(fetched).await
}

/// From now on the test decides when a pause ends.
async fn hold_pauses(chrome: &Chrome) {
    let hold = "window.setTimeout = (act) => { window.pause = act; return 0 }";
    chrome.run::<()>(hold).await;
}

async fn pause(chrome: &Chrome) {
    chrome.run::<()>("window.pause()").await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_foreign_number_is_chosen_from_the_list_with_the_mouse() {
    let app = TestApp::start().await;
    let chrome = Chrome::with_languages(&app, "de-DE,en").await;
    at_the_field(&app, &chrome).await;
    chrome
        .one(".iti__selected-country")
        .await
        .click()
        .await
        .unwrap();
    let search = chrome.one("input[type=search]").await;
    search.send_keys("kenya").await.unwrap();
    let kenya = chrome.one(".iti__country[data-iso2=ke]").await;
    kenya.click().await.unwrap();
    assert_eq!(
        country(&chrome).await,
        "Country of the phone number: Kenya, +254"
    );
    chrome.fill("verification_phone", "0720 227267").await;
    chrome.press("Send the code").await;
    chrome.is_at("/verify_2fa").await;
    chrome.reads("We texted a code to +254720227267").await;
    assert_eq!(app.last_message().to, PHONE);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_foreign_number_is_chosen_from_the_list_by_keyboard_alone() {
    let app = TestApp::start().await;
    let chrome = Chrome::with_languages(&app, "de-DE,en").await;
    at_the_field(&app, &chrome).await;
    tab_to(&chrome, ".iti__selected-country").await;
    type_keys(&chrome, Key::Enter).await;
    chrome.one("input[type=search]").await;
    let searching = async || {
        let at = "return document.activeElement.type === 'search'";
        chrome.run::<bool>(at).await
    };
    assert!(chrome.until(searching).await, "the search has no focus");
    type_keys(&chrome, "keny").await;
    chrome
        .one(".iti__country[data-iso2=ke].iti__highlight")
        .await;
    type_keys(&chrome, Key::Enter).await;
    let chosen = async || country(&chrome).await.ends_with("Kenya, +254");
    assert!(chrome.until(chosen).await, "{}", country(&chrome).await);
    tab_to(&chrome, "#verification_phone").await;
    type_keys(&chrome, "720227267").await;
    type_keys(&chrome, Key::Enter).await;
    chrome.is_at("/verify_2fa").await;
    assert_eq!(app.last_message().to, PHONE);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_country_is_guessed_from_the_browsers_languages() {
    let app = TestApp::start().await;
    app.register("harry").await;
    for (languages, dial_code) in [
        ("de-AT,en", "Austria, +43"),
        ("de", "Germany, +49"),
        ("en,sw-KE", "Kenya, +254"),
        ("eo", "Select country for phone number"), // of no country
    ] {
        let harry = app.browser();
        harry.log_in("harry", crate::support::PASSWORD).await;
        let chrome = Chrome::with_languages(&app, languages).await;
        chrome.take_session(&harry).await;
        chrome.goto("/enable_2fa").await;
        let label = country(&chrome).await;
        assert!(label.ends_with(dial_code), "{languages}: {label}");
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn a_number_is_checked_after_a_pause_and_when_the_field_loses_the_focus() {
    let app = TestApp::start().await;
    let chrome = Chrome::with_languages(&app, "en-KE").await;
    at_the_field(&app, &chrome).await;
    assert!(!has_loaded_utils(&chrome).await, "loaded too early");
    let field = chrome.one("#verification_phone").await;
    field.click().await.unwrap();
    let known = async || has_loaded_utils(&chrome).await;
    assert!(chrome.until(known).await, "utils.js is not loaded");
    let hint = "In international form, e.g. +254 720 227267";
    chrome.reads(hint).await;
    hold_pauses(&chrome).await;
    let button = chrome.one("main form button[type=submit]").await;
    let place = button.rect().await.unwrap().y;

    // "Too short" does not appear while the user types.
    field.send_keys("0720").await.unwrap();
    pause(&chrome).await;
    assert_eq!(verdict(&chrome).await, "");
    field.send_keys(Key::Tab).await.unwrap();
    shows_verdict(&chrome, "That is too short for a number in Kenya.").await;
    assert!(
        !chrome.text().await.contains(hint),
        "the hint is still there"
    );
    let moved = (button.rect().await.unwrap().y - place).abs();
    assert!(moved < 1.0, "the button moved by {moved}");

    // An outdated sentence disappears at once. The next one appears after the pause.
    field.send_keys("227267").await.unwrap();
    assert_eq!(verdict(&chrome).await, "");
    chrome.reads(hint).await;
    pause(&chrome).await;
    assert_eq!(verdict(&chrome).await, "Read as +254 720 227267, Kenya.");
    // "Too long" appears while the user types.
    field.send_keys("99999").await.unwrap();
    assert_eq!(verdict(&chrome).await, "");
    pause(&chrome).await;
    let sentence = "That is too long for a number in Kenya.";
    assert_eq!(verdict(&chrome).await, sentence);

    for (typed, sentence) in [
        ("0320 227267", "That doesn't look like a number in Kenya."),
        ("0800 223456", "We can't send codes to this kind of number."),
        ("+1 202 555 0110", "Read as +1 202-555-0110, United States."),
        ("0720 x", "Use only digits, spaces and + - . ( )."),
    ] {
        field.clear().await.unwrap();
        field.send_keys(typed).await.unwrap();
        field.send_keys(Key::Tab).await.unwrap();
        shows_verdict(&chrome, sentence).await;
        let status = chrome.one("#verification_phone-verdict[role=status]").await;
        let id = status.id().await.unwrap().unwrap();
        let ties = field.attr("aria-describedby").await.unwrap().unwrap();
        assert!(ties.split(' ').any(|tie| tie == id), "{ties}");
        let kenya = "window.intlTelInput.getInstance(
            document.getElementById('verification_phone')).setSelectedCountry('ke')";
        chrome.run::<()>(kenya).await;
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_error_of_the_server_disappears_with_its_number() {
    let app = TestApp::start().await;
    let chrome = Chrome::with_languages(&app, "en-KE").await;
    at_the_field(&app, &chrome).await;
    chrome.fill("verification_phone", "1").await;
    chrome.press("Send the code").await;
    let error = chrome.one("#verification_phone-error").await;
    assert_eq!(error.text().await.unwrap(), "Invalid phone number");
    chrome.fill("verification_phone", "0720 227267").await;
    assert!(chrome.has_no("#verification_phone-error").await);
    assert!(chrome.has_no("[aria-invalid]").await);
    shows_verdict(&chrome, "Read as +254 720 227267, Kenya.").await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn without_libphonenumber_the_server_validates_the_number() {
    let app = TestApp::start().await;
    let chrome = Chrome::with_languages(&app, "en-KE").await;
    let nothing = serde_json::json!({});
    chrome.devtools("Network.enable", nothing).await;
    let numbers = serde_json::json!({ "urls": ["*/utils.*"] });
    chrome.devtools("Network.setBlockedURLs", numbers).await;
    at_the_field(&app, &chrome).await;
    let number = "0720 227267 000000";
    chrome.fill("verification_phone", number).await;
    shows_verdict(&chrome, "That is too long for a phone number.").await;
    chrome.fill("verification_phone", "0720 227267").await;
    shows_verdict(&chrome, "").await;
    chrome.press("Send the code").await;
    chrome.is_at("/verify_2fa").await;
    assert_eq!(app.last_message().to, PHONE);
}
