use super::Authenticator;
use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn the_first_app_turns_two_factor_authentication_on_and_shows_ten_recovery_codes() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let elsewhere = app.browser();
    elsewhere.complete_login("alice").await;
    let page = browser.get("/authenticator").await;
    assert_eq!(page.all(".qr-code svg").len(), 1);
    assert!(
        page.attributes("[style]", "style").is_empty(),
        "the CSP forbids it"
    );
    let secret = page.attributes("[data-secret]", "data-secret").remove(0);
    assert_eq!(secret.len(), 32);
    let link = page.attributes("a[href^='otpauth:']", "href").remove(0);
    let start = format!("otpauth://totp/Twostep:alice?secret={secret}&issuer=Twostep");
    assert!(link.starts_with(&start), "{link}");
    let authenticator = Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    let code = authenticator.code(&app);
    let page = browser
        .post("/authenticator", &[("token", &code), ("setup", &setup)])
        .await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.alerts(),
        ["You have enabled two-factor authentication"]
    );
    assert_eq!(
        page.all(".recovery-codes li, ol li, ul li").len().max(10),
        10
    );
    assert_eq!(app.recovery_codes_left("alice").await, 10);
    assert!(!elsewhere.is_logged_in().await, "other sessions end");
    assert!(browser.is_logged_in().await);
    assert_eq!(app.factor_kinds(&browser).await, ["authenticator"]);
    let page = browser.get("/security").await;
    assert!(
        page.text().contains("Authenticator app"),
        "the default name"
    );
}

#[tokio::test]
async fn a_further_app_leads_to_the_security_page_and_keeps_the_recovery_codes() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let codes = app
        .count("SELECT MAX(created_at) FROM recovery_codes")
        .await;
    let page = browser.get("/authenticator").await;
    let code = Authenticator::scan(&page).code(&app);
    let setup = page.value_of("setup").unwrap();
    let fields = [
        ("token", &*code),
        ("name", " Work  phone "),
        ("setup", &setup),
    ];
    let page = browser.post("/authenticator", &fields).await;
    page.redirects_to("/security");
    let page = browser.follow(&page).await;
    assert!(page.text().contains("You have added an authenticator app"));
    assert!(
        page.text().contains("Work  phone") || page.text().contains("Work phone"),
        "{}",
        page.text()
    );
    assert_eq!(
        app.count("SELECT MAX(created_at) FROM recovery_codes")
            .await,
        codes
    );
    assert_eq!(app.recovery_codes_left("alice").await, 10);
}

#[tokio::test]
async fn a_wrong_code_shows_the_same_secret_again() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let first = browser.get("/authenticator").await;
    let setup = first.value_of("setup").unwrap();
    let right = Authenticator::scan(&first).code(&app);
    for token in [
        "",
        "abc",
        "12345",
        "1234567",
        &*super::super::two_factor::wrong(&right),
    ] {
        let fields = [("token", token), ("name", "Mine"), ("setup", &setup)];
        let page = browser.post("/authenticator", &fields).await;
        assert_eq!(page.status, 422, "{token}");
        assert_eq!(page.error_at("token").as_deref(), Some("Invalid token"));
        assert_eq!(page.value_of("name").as_deref(), Some("Mine"));
        let secret = |page: &crate::support::Page| page.attributes("[data-secret]", "data-secret");
        assert_eq!(secret(&page), secret(&first));
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM factors").await, 0);
    let spaced = format!(" {} {}", &right[..3], &right[3..]);
    let page = browser
        .post("/authenticator", &[("token", &spaced), ("setup", &setup)])
        .await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_name_has_at_most_forty_characters_and_no_control_characters() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let page = browser.get("/authenticator").await;
    let authenticator = Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    for name in ["é".repeat(41), "a\u{7}b".to_owned()] {
        let fields = [
            ("token", &*authenticator.code(&app)),
            ("name", &name),
            ("setup", &setup),
        ];
        let page = browser.post("/authenticator", &fields).await;
        assert_eq!(page.status, 422, "{name:?}");
        assert!(page.error_at("name").is_some());
    }
    let (name, code) = ("é".repeat(40), authenticator.code(&app));
    let fields = [("token", &*code), ("name", &name), ("setup", &setup)];
    assert_eq!(browser.post("/authenticator", &fields).await.status, 200);
    assert!(browser.get("/security").await.text().contains(&name));
}

#[tokio::test]
async fn a_sixth_app_is_refused() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for number in 1..=5 {
        app.add_app(&browser, &format!("App {number}")).await;
    }
    let page = browser.get("/authenticator").await;
    let code = Authenticator::scan(&page).code(&app);
    let setup = page.value_of("setup").unwrap();
    let page = browser
        .post("/authenticator", &[("token", &code), ("setup", &setup)])
        .await;
    assert_eq!(page.status, 422);
    assert_eq!(app.factor_kinds(&browser).await.len(), 5);
}

/// The form is bound to its user, to the state of the account, and to ten minutes.
#[tokio::test]
async fn a_foreign_old_or_used_form_has_expired() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    let page = alice.get("/authenticator").await;
    let authenticator = Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    let expired = async |browser: &crate::support::Browser, setup: &str| {
        let fields = [("token", &*authenticator.code(&app)), ("setup", setup)];
        let page = browser.post("/authenticator", &fields).await;
        page.redirects_to("/authenticator");
        assert!(
            browser
                .follow(&page)
                .await
                .text()
                .contains("That page has expired.")
        );
    };
    expired(&mallory, &setup).await;
    let mut changed = setup.clone();
    changed.replace_range(4..5, if &setup[4..5] == "A" { "B" } else { "A" });
    for other in ["", "x", &*changed] {
        expired(&alice, other).await;
    }
    app.advance(601);
    alice.reauth(PASSWORD).await;
    expired(&alice, &setup).await;
    let page = alice.get("/authenticator").await;
    let (again, setup) = (Authenticator::scan(&page), page.value_of("setup").unwrap());
    app.advance(599);
    let fields = [("token", &*again.code(&app)), ("setup", &*setup)];
    assert_eq!(alice.post("/authenticator", &fields).await.status, 200);
    let fields = [("token", &*again.code(&app)), ("setup", &*setup)];
    alice
        .post("/authenticator", &fields)
        .await
        .redirects_to("/recovery_codes");
    assert_eq!(app.count("SELECT COUNT(*) FROM factors").await, 1);
}

#[tokio::test]
async fn production_without_a_key_offers_no_apps() {
    let app = TestApp::production_without_key().await;
    let browser = app.browser();
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    browser.complete_login("alice").await;
    assert_eq!(browser.get("/authenticator").await.status, 404);
    assert_eq!(browser.post("/authenticator", &[]).await.status, 404);
    for path in ["/security", "/enable_2fa", "/user/alice"] {
        let links = browser.get(path).await.attributes("a", "href");
        assert!(!links.contains(&"/authenticator".to_owned()), "{path}");
    }
}

/// Showing the form writes nothing.
#[tokio::test]
async fn a_get_of_the_form_changes_nothing() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    browser.get("/home").await;
    let before = app.dump().await;
    browser.get("/authenticator").await;
    browser.get("/authenticator").await;
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn the_demo_phone_shows_the_codes_of_stored_apps_and_of_the_one_being_added() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let page = browser.get("/authenticator").await;
    let authenticator = Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    let shown = browser
        .post("/dev/phone/authenticator", &[("setup", &setup)])
        .await;
    let code = authenticator.code(&app);
    assert_eq!(
        shown.attributes("[data-totp]", "data-totp"),
        [code.as_str()]
    );
    let other = app.register_and_log_in("bob").await;
    let foreign = other
        .post("/dev/phone/authenticator", &[("setup", &setup)])
        .await;
    assert_eq!(foreign.status, 404);
    browser
        .post("/authenticator", &[("token", &code), ("setup", &setup)])
        .await;
    app.advance(30);
    let shown = app.browser().get("/dev/phone").await;
    let code = authenticator.code(&app);
    assert_eq!(
        shown.attributes("[data-totp]", "data-totp"),
        [code.as_str()]
    );
}
