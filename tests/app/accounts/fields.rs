//! The fields of all forms.

use std::collections::BTreeSet;

use scraper::Selector;

use crate::access::{Role, app_with_users, concrete};
use crate::support::{Browser, Page, TestApp};

/// All fields of the pages.
const FIELDS: [&str; 16] = [
    "about_me",
    "confirm_password",
    "current_password",
    "email",
    "factor",
    "link",
    "name",
    "next",
    "password",
    "recovery_code",
    "remember_me",
    "setup",
    "token",
    "trust_device",
    "username",
    "verification_phone",
];

/// Loads every page as every role.
async fn pages() -> Vec<Page> {
    let app = app_with_users().await;
    let mut pages = Vec::new();
    for role in Role::ALL {
        visit(&app, &role.browser(&app).await, &mut pages).await;
    }
    assert!(pages.len() > 30, "{}", pages.len());
    pages
}

async fn visit(app: &TestApp, browser: &Browser, pages: &mut Vec<Page>) {
    browser.get(&app.reset_link("harry").await).await;
    for route in app.routes.iter().filter(|it| it.method == "GET") {
        let page = browser.get(&concrete(route.path)).await;
        if page.status == 200 && page.first("h1").is_some() {
            pages.push(page);
        }
    }
}

/// ASVS 6.2.6, 6.2.7
#[tokio::test]
async fn password_managers_can_fill_all_fields_and_pasting_is_allowed() {
    let inputs = Selector::parse("input, textarea").unwrap();
    let mut passwords = 0;
    for page in pages().await {
        let title = page.first("title").unwrap();
        for input in page.html().select(&inputs) {
            let of = |attribute| input.attr(attribute).unwrap_or_default();
            let name = of("name");
            let expected: &[&str] = match name {
                "username" => &["username"],
                "password" => &["current-password", "new-password"],
                "current_password" => &["current-password"],
                "confirm_password" => &["new-password"],
                "token" => &["one-time-code"],
                "email" => &["email"],
                "verification_phone" => &["tel"],
                "recovery_code" | "name" => &["off"],
                _ => &["", "username"],
            };
            let autocomplete = of("autocomplete");
            assert!(
                expected.contains(&autocomplete),
                "{title}: {name} {autocomplete}"
            );
            if name.contains("password") {
                passwords += 1;
                assert_eq!(of("type"), "password", "{title}: {name}");
                // A browser would cut a pasted password silently.
                assert_eq!(input.attr("maxlength"), None, "{title}: {name}");
            }
            for attribute in ["onpaste", "oncopy", "ondrop", "disabled"] {
                assert_eq!(input.attr(attribute), None, "{title}: {name}");
            }
        }
    }
    assert!(passwords > 10, "{passwords}");
}

/// ASVS 6.4.2
#[tokio::test]
async fn no_form_has_fields_for_hints_or_secret_questions() {
    let mut found = BTreeSet::new();
    for page in pages().await {
        found.extend(page.attributes("[name]:not(meta)", "name"));
    }
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| !FIELDS.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(found.len() > 7, "{found:?}");
}
