//! Accounts. This module tests registration, and its submodules the rest.

mod enumeration;
mod fields;
mod guessed;
mod locked;
mod login;
mod next;
mod passwords;
mod registrations;
mod wrong_passwords;
mod wrong_passwords_of_client;

use crate::support::{Browser, PASSWORD, Page, TestApp};

const USERS: &str = "SELECT COUNT(*) FROM users";

/// Asserts that the form is shown again with exactly these errors.
#[track_caller]
fn assert_errors(page: &Page, errors: &[(&str, &str)]) {
    assert_eq!(page.status, 422, "{}", page.text());
    let found: Vec<String> = page.all(".invalid-feedback");
    assert_eq!(found.len(), errors.len(), "{found:?}");
    for (field, sentence) in errors {
        let at_field = page.error_at(field).unwrap_or_default();
        assert!(at_field.contains(sentence), "{field}: {at_field:?}");
        assert!(page.says(sentence), "the summary lists it");
    }
}

async fn register(browser: &Browser, fields: [&str; 4]) -> Page {
    let names = ["username", "email", "password", "confirm_password"];
    let fields: Vec<(&str, &str)> = names.into_iter().zip(fields).collect();
    browser.post("/register", &fields).await
}

/// ASVS 1.3.3, 2.2.1, 2.2.2, 2.2.3
#[tokio::test]
async fn each_field_has_its_rule_and_its_error() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let name_rule = "Use 2 to 32 letters, digits, dots, dashes or underscores";
    let long = "a".repeat(33);
    for name in [
        "",
        " ",
        "a",
        &long,
        ".alice",
        "alice-",
        "al ice",
        "al/ice",
        "ali\u{441}e",
    ] {
        let page = register(&browser, [name, "a@example.com", PASSWORD, PASSWORD]).await;
        assert_errors(&page, &[("username", name_rule)]);
        assert_eq!(page.value_of("username").as_deref(), Some(name));
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for email in [
        "",
        "alice",
        "alice@",
        "@example.com",
        "a b@example.com",
        "a@b@c.com",
        &long,
    ] {
        let page = register(&browser, ["alice", email, PASSWORD, PASSWORD]).await;
        assert_errors(&page, &[("email", "Enter a valid email address")]);
        assert_eq!(page.value_of("email").as_deref(), Some(email));
    }
    let page = register(&browser, ["alice", "a@example.com", PASSWORD, "other"]).await;
    assert_errors(&page, &[("confirm_password", "The passwords do not match")]);
    let page = register(&browser, ["", "", "", ""]).await;
    let errors = [
        ("username", name_rule),
        ("email", "valid email"),
        ("password", "8 char"),
    ];
    assert_errors(&page, &errors);
    assert!(page.says("There are 3 problems"));
    // Missing fields count as empty.
    assert_errors(&browser.post("/register", &[]).await, &errors);
    assert_eq!(app.count(USERS).await, 0);
}

#[tokio::test]
async fn a_rejected_form_keeps_the_typed_values_except_passwords() {
    let app = TestApp::start().await;
    let secret = "a very quiet secret";
    let page = register(&app.browser(), ["  Al ice ", " a@b@c ", secret, "x"]).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.value_of("username").as_deref(), Some("  Al ice "));
    assert_eq!(page.value_of("email").as_deref(), Some(" a@b@c "));
    for field in ["password", "confirm_password"] {
        assert_eq!(page.value_of(field), None);
    }
    assert!(!page.body.contains(secret));
    let page = app.browser().log_in("alice", secret).await;
    assert_eq!(page.status, 422);
    assert!(!page.body.contains(secret));
}

#[tokio::test]
async fn usernames_and_email_addresses_are_unique_in_any_case() {
    let app = TestApp::start().await;
    app.register("Alice").await;
    let browser = app.browser();
    for name in ["Alice", "alice", "ALICE", " aLiCe\t"] {
        let page = register(&browser, [name, "new@example.com", PASSWORD, PASSWORD]).await;
        assert_errors(&page, &[("username", "Please use a different username")]);
        assert_eq!(page.value_of("email").as_deref(), Some("new@example.com"));
    }
    for email in [
        "Alice@example.com",
        "alice@example.com",
        " ALICE@EXAMPLE.COM ",
    ] {
        let page = register(&browser, ["bob", email, PASSWORD, PASSWORD]).await;
        assert_errors(&page, &[("email", "Please use a different email address")]);
        assert_eq!(page.value_of("username").as_deref(), Some("bob"));
    }
    assert_eq!(app.count(USERS).await, 1);
}

/// ASVS 2.3.4, 15.4.2
#[tokio::test]
async fn attack_07_of_parallel_registrations_of_one_name_or_address_one_wins() {
    for same_name in [true, false] {
        let app = TestApp::start().await;
        let mut requests = tokio::task::JoinSet::new();
        for (number, (name, email)) in [
            ("alice", "alice@example.com"),
            ("ALICE", "ALICE@example.com"),
            ("aLice", "aLice@example.com"),
            ("alicE", "alicE@example.com"),
            ("Alice", "Alice@example.com"),
        ]
        .into_iter()
        .enumerate()
        {
            let browser = app.browser();
            let fields = if same_name {
                (name.to_owned(), format!("{number}@example.com"))
            } else {
                (format!("alice{number}"), email.to_owned())
            };
            requests.spawn(async move { browser.register(&fields.0, &fields.1, PASSWORD).await });
        }
        let (won, lost): (Vec<Page>, Vec<Page>) = requests
            .join_all()
            .await
            .into_iter()
            .partition(|page| page.status == 303);
        assert_eq!((won.len(), lost.len()), (1, 4));
        for page in lost {
            let error = if same_name {
                ("username", "Please use a different username")
            } else {
                ("email", "Please use a different email address")
            };
            assert_errors(&page, &[error]);
        }
        assert_eq!(app.count(USERS).await, 1);
    }
}

#[tokio::test]
async fn spaces_are_trimmed_and_the_case_is_kept() {
    let app = TestApp::start().await;
    let fields = [" Alice\t", "\u{a0}Alice@Example.com ", PASSWORD, PASSWORD];
    register(&app.browser(), fields)
        .await
        .redirects_to("/login");
    let row: (String, String) = sqlx::query_as("SELECT username, email FROM users")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(row, ("Alice".to_owned(), "Alice@Example.com".to_owned()));
}

/// ASVS 15.3.3
#[tokio::test]
async fn unknown_fields_change_nothing() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let more = [
        ("submit", "Register"),
        ("is_admin", "1"),
        ("id", "0"),
        ("user_id", "0"),
        ("auth_version", "9"),
        ("verification_phone", "+254720227267"),
        ("password_hash", "x"),
        ("next", "/edit_profile"),
    ];
    let fields = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
        ("confirm_password", PASSWORD),
    ];
    let all = [&fields[..], &more].concat();
    browser.post("/register", &all).await.redirects_to("/login");
    assert_eq!(app.phone_of("alice").await, None);
    assert_eq!(app.count("SELECT auth_version FROM users").await, 1);
    let login = [fields[0], fields[2]];
    let page = browser.post("/login", &[&login[..], &more].concat()).await;
    page.redirects_to("/edit_profile");
}

/// ASVS 1.2.4
#[tokio::test]
async fn attack_14_misleading_usernames_are_refused() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let browser = app.browser();
    for name in [
        "Adm.in",      // reserved
        "ALICE",       // taken
        "al\u{456}ce", // look-alikes and invisible characters
        "\u{ff41}lice",
        "a\u{200b}lice",
        "\u{202e}ecila",
        "alice\u{301}",
        "alice\0",
        "ali\r\nce",
        "../alice", // paths
        "alice/edit",
        "al%69ce",
        "alice?x",
        "' OR '1'='1", // SQL and markup
        "a\";DROP TABLE users;--",
        "<b>alice</b>",
        "{{7*7}}",
    ] {
        let page = register(&browser, [name, "x@example.com", PASSWORD, PASSWORD]).await;
        assert_eq!(page.status, 422, "{name:?}: {}", page.text());
        assert!(page.error_at("username").is_some(), "{name:?}");
        let page = browser.log_in(name, "wrong").await;
        assert_eq!(page.status, 422, "{name:?}");
        assert!(page.says("Invalid username or password"));
    }
    assert_eq!(app.count(USERS).await, 1);
}
