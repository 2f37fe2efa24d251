//! Defects of the tutorial's app that must not come back: accounts, sessions
//! and profiles. Each test is named after what went wrong there.

use std::collections::HashMap;

use secrecy::ExposeSecret;
use twostep::config::Config;

use crate::support::database::on_postgresql;
use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn a_signed_in_visitor_of_login_is_sent_to_login_for_ever() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    for path in ["/login", "/login?next=%2Flogin", "/register"] {
        let page = browser.get(path).await;
        page.redirects_to("/home");
        assert_eq!(browser.follow(&page).await.status, 200);
    }
}

#[tokio::test]
async fn a_missing_next_leads_to_none() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.half_logged_in("alice").await;
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    for fields in [
        &[("password", PASSWORD)][..],
        &[("password", PASSWORD), ("next", "")],
    ] {
        app.advance(60);
        let page = browser.post("/reauth", fields).await;
        page.redirects_to("/verify_2fa");
        let page = browser.verify(&app.last_code()).await;
        page.redirects_to("/home");
    }
    let bob = app.signed_in("bob").await;
    let page = bob.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/home");
    assert_eq!(app.browser().get("/login").await.value_of("next"), None);
}

#[tokio::test]
async fn a_deleted_user_is_an_error_500() {
    let app = TestApp::start().await;
    let whole = app.with_two_factor("alice", PHONE).await;
    let half = app.half_logged_in("alice").await;
    let code = app.last_code();
    app.execute("DELETE FROM users").await;
    for path in ["/home", "/user/alice", "/edit_profile", "/enable_2fa"] {
        let page = whole.get(path).await;
        let login = format!("/login?next={}", path.replace('/', "%2F"));
        page.redirects_to(&login);
    }
    let page = half.verify(&code).await;
    page.redirects_to("/login?next=%2Fhome");
    let page = half.log_in("alice", PASSWORD).await;
    assert_eq!(page.status, 422);
    let other = app.signed_in("bob").await;
    assert_eq!(other.get("/user/alice").await.status, 404);
}

#[tokio::test]
async fn edit_profile_has_no_uniqueness_check() {
    let app = TestApp::start().await;
    app.register("bob").await;
    let browser = app.signed_in("alice").await;
    let page = browser.post("/edit_profile", &[("username", "BOB")]).await;
    assert_eq!(page.status, 422);
    let error = page.error_at("username");
    assert_eq!(error.as_deref(), Some("Please use a different username"));
    assert_eq!(browser.get("/user/alice").await.status, 200);
}

#[tokio::test]
async fn the_two_factor_links_stand_on_other_peoples_pages() {
    let app = TestApp::start().await;
    app.with_two_factor("bob", PHONE).await;
    let browser = app.signed_in("alice").await;
    let page = browser.get("/user/bob").await;
    assert_eq!(page.status, 200);
    assert!(page.attributes("main a", "href").is_empty());
    assert!(!page.text().to_lowercase().contains("two-factor"));
}

#[tokio::test]
async fn a_get_logs_out() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    for path in ["/logout", "/logout?", "/logout?next=%2Fhome"] {
        assert_eq!(browser.get(path).await.status, 200);
        assert_eq!(browser.head(path).await.status, 200);
        assert!(browser.is_logged_in().await);
    }
    let links = browser.get("/home").await.attributes("a", "href");
    assert!(links.iter().all(|href| !href.contains("logout")));
}

#[tokio::test]
async fn a_default_secret_signs_the_sessions() {
    // Two apps with nothing configured: neither takes the other's cookie.
    let (first, second) = (TestApp::start().await, TestApp::start().await);
    let browser = first.signed_in("alice").await;
    second.register("alice").await;
    let foreign = second.browser();
    foreign.set_session_cookie(&browser.session_cookie().unwrap());
    assert!(!foreign.is_logged_in().await);
    assert!(browser.is_logged_in().await);
    // And there is no key that somebody could forget to set.
    let template = include_str!("../../.env.template");
    assert!(!template.contains("SECRET_KEY"));
}

#[tokio::test]
async fn the_password_hash_column_is_too_short() {
    let app = TestApp::start().await;
    let longest = "correct horse battery staple ".repeat(5)[..128].to_owned();
    let browser = app.browser();
    let page = browser
        .register("alice", "alice@example.com", &longest)
        .await;
    page.redirects_to("/login");
    browser
        .log_in("alice", &longest)
        .await
        .redirects_to("/home");
    let declared: String = sqlx::query_scalar(match on_postgresql() {
        false => "SELECT type FROM pragma_table_info('users') WHERE name = 'password_hash'",
        true => {
            "SELECT UPPER(data_type) FROM information_schema.columns \
             WHERE table_schema = CURRENT_SCHEMA AND table_name = 'users' \
             AND column_name = 'password_hash'"
        }
    })
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(declared, "TEXT", "which has no longest length");
}

#[tokio::test]
async fn last_seen_is_written_on_every_request() {
    const SEEN: &str = "SELECT COALESCE(last_seen_at, 0) FROM users";
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    let home = browser.get("/home").await;
    let first = app.count(SEEN).await;
    app.advance(59);
    browser.get("/home").await;
    assert_eq!(app.count(SEEN).await, first, "within the minute");
    app.advance(3600);
    for file in home.attributes("link[rel=stylesheet]", "href") {
        assert_eq!(browser.get(&file).await.status, 200);
    }
    assert_eq!(app.count(SEEN).await, first, "static files");
    browser.get("/home").await;
    assert_eq!(app.count(SEEN).await, first + 3659);
}

#[tokio::test]
async fn a_failed_log_in_drops_next_and_the_name_typed() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let browser = app.browser();
    let page = browser.get("/edit_profile").await;
    let mut form = browser.follow(&page).await;
    for password in ["wrong", "wrong again", PASSWORD] {
        let next = form.value_of("next").expect("next was dropped");
        let fields = [
            ("username", "alice"),
            ("password", password),
            ("next", &*next),
        ];
        form = browser.post("/login", &fields).await;
        if password != PASSWORD {
            assert_eq!(form.value_of("username").as_deref(), Some("alice"));
        }
    }
    form.redirects_to("/edit_profile");
}

#[test]
fn twilio_account_token_is_read_where_twilio_auth_token_is_documented() {
    let account = format!("AC{}", "a".repeat(32));
    let service = format!("VA{}", "b".repeat(32));
    let with = |name: &str| {
        let variables = [
            ("TWILIO_ACCOUNT_SID", &*account),
            ("TWILIO_VERIFY_SERVICE_ID", &*service),
            (name, "the-token"),
        ];
        let variables: HashMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Config::from_variables(&variables)
    };
    let twilio = with("TWILIO_AUTH_TOKEN").unwrap().twilio.unwrap();
    assert_eq!(twilio.password.expose_secret(), "the-token");
    let error = with("TWILIO_ACCOUNT_TOKEN").unwrap_err().to_string();
    assert!(error.contains("TWILIO_AUTH_TOKEN"), "{error}");
}
