//! Login and logout.

use super::assert_errors;
use crate::sessions::cookie_of;
use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn a_wrong_username_or_password_shows_the_form_again_with_its_values() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for (name, password) in [("alice", "wrong"), ("nobody", PASSWORD), (" Al ", "")] {
        let fields = [
            ("username", name),
            ("password", password),
            ("remember_me", "1"),
            ("next", "/user/alice"),
        ];
        let browser = app.browser();
        let page = browser.post("/login", &fields).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.alerts(), ["Invalid username or password"]);
        assert_eq!(page.value_of("username").as_deref(), Some(name));
        assert_eq!(page.value_of("next").as_deref(), Some("/user/alice"));
        assert_eq!(page.value_of("password"), None);
        assert_eq!(page.all("input[name=remember_me][checked]").len(), 1);
        assert_eq!(page.set_cookie(), None);
    }
    let page = app.browser().log_in("alice", "wrong").await;
    assert!(page.all("input[name=remember_me][checked]").is_empty());
    assert_eq!(page.value_of("next"), None);
}

#[tokio::test]
async fn the_login_page_links_to_the_code_page_only_while_a_login_is_pending() {
    const LINK: &str = "main a[href='/verify_2fa']";
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    for late in [false, true] {
        let pending = app.log_in_until_code("harry").await;
        assert_eq!(pending.get("/login").await.all(LINK), ["Enter the code"]);
        assert!(app.browser().get("/login").await.all(LINK).is_empty());
        if late {
            app.advance(10 * 60);
        } else {
            pending.post("/verify_2fa/cancel", &[]).await;
        }
        assert!(pending.get("/login").await.all(LINK).is_empty(), "{late}");
    }
}

#[tokio::test]
async fn the_username_is_accepted_in_any_case_and_with_spaces_around_it() {
    let app = TestApp::start().await;
    app.register("Alice").await;
    for name in ["Alice", "alice", "ALICE", "  alice\t", "\u{a0}aLICE "] {
        app.browser().complete_login(name).await;
    }
    // The email address is not a username.
    let page = app.browser().log_in("Alice@example.com", PASSWORD).await;
    assert_eq!(page.status, 422);
}

#[tokio::test]
async fn any_value_of_remember_me_remembers_except_those_that_mean_no() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for (value, remembered) in [
        ("on", true),
        ("1", true),
        ("y", true),
        ("true", true),
        ("", false),
        (" ", false),
        ("0", false),
        ("false", false),
        ("False", false),
        ("n", false),
        ("off", false),
        ("OFF", false),
    ] {
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("remember_me", value),
        ];
        let page = app.browser().post("/login", &fields).await;
        let is_long = cookie_of(&page).1.contains(&"Max-Age=2592000".to_owned());
        assert_eq!(is_long, remembered, "{value:?}");
    }
}

/// ASVS 3.5.3, 7.4.1, 14.3.1
#[tokio::test]
async fn only_a_post_logs_out_and_it_deletes_the_session() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for path in ["/logout", "/logout?next=%2Fhome"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200);
        let button = "main form[method=post][action='/logout'] button";
        assert_eq!(page.all(button), ["Log out"]);
        assert_eq!(browser.head(path).await.status, 200);
        assert!(browser.is_logged_in().await, "{path}");
    }
    let links = browser.get("/home").await.attributes("a", "href");
    assert!(links.iter().all(|href| !href.contains("logout")));
    assert_eq!(app.logins().await, 1);

    let page = browser.post("/logout", &[]).await;
    page.redirects_to("/login");
    assert_eq!(
        page.header("clear-site-data"),
        Some("\"cache\", \"storage\"")
    );
    assert_eq!(app.logins().await, 0);
    assert!(!browser.is_logged_in().await);
    // A second logout, and one without a login, get the same response.
    for browser in [browser, app.browser()] {
        assert_eq!(browser.get("/logout").await.status, 200);
        browser.post("/logout", &[]).await.redirects_to("/login");
    }
}

#[tokio::test]
async fn a_logged_in_user_is_redirected_home_from_the_pages_for_guests() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for path in ["/login", "/register", "/login?next=%2Flogin"] {
        let page = browser.get(path).await;
        page.redirects_to("/home");
        assert_eq!(browser.follow(&page).await.status, 200, "{path}");
    }
    let fields = [("username", "alice"), ("password", "wrong")];
    browser.post("/login", &fields).await.redirects_to("/home");
    let page = browser.register("bob", "bob@example.com", PASSWORD).await;
    page.redirects_to("/home");
    assert_eq!(app.count(super::USERS).await, 1);
}

#[tokio::test]
async fn reauthentication_requires_the_users_own_password() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    super::register(
        &app.browser(),
        [
            "bob",
            "b@example.com",
            "bob rides another tram",
            "bob rides another tram",
        ],
    )
    .await
    .redirects_to("/login");
    app.advance(600);
    browser
        .get("/enable_2fa")
        .await
        .redirects_to("/reauth?next=%2Fenable_2fa");
    for password in ["", "wrong", "bob rides another tram"] {
        let fields = [
            ("password", password),
            ("username", "bob"),
            ("next", "/enable_2fa"),
        ];
        let page = browser.post("/reauth", &fields).await;
        assert_errors(&page, &[("password", "Invalid password")]);
        assert_eq!(page.value_of("next").as_deref(), Some("/enable_2fa"));
        assert_eq!(page.set_cookie(), None);
        assert_eq!(browser.get("/enable_2fa").await.status, 303);
    }
    let fields = [("password", PASSWORD), ("next", "/enable_2fa")];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/enable_2fa");
    assert_eq!(browser.get("/enable_2fa").await.status, 200);
    app.advance(599);
    assert_eq!(browser.get("/enable_2fa").await.status, 200);
    app.advance(1);
    assert_eq!(browser.get("/enable_2fa").await.status, 303);
}
