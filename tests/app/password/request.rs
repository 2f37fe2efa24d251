//! `/reset_password_request`

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HOST};

use super::assert_errors;
use crate::support::{Browser, PHONE, Page, TestApp};

pub const CHECK_EMAIL: &str = "Check your email for the instructions to reset your password";

pub const QUEUED: &str = "SELECT COUNT(*) FROM outbox WHERE mail = '\"reset_password\"'";

/// An app whose emails stay in the queue.
async fn app() -> TestApp {
    TestApp::with(&[("SMTP_URL", "smtp://127.0.0.1:1")]).await
}

/// The number of queued reset emails, once all requests are resolved.
pub async fn queued(app: &TestApp) -> i64 {
    app.requests_settle().await;
    app.count(QUEUED).await
}

pub async fn ask(browser: &Browser, email: &str) -> Page {
    browser
        .post("/reset_password_request", &[("email", email)])
        .await
}

#[tokio::test]
async fn a_link_is_queued_for_the_owner_of_the_address() {
    let app = app().await;
    app.register("alice").await;
    app.register("bob").await;
    let browser = app.browser();
    let login = browser.get("/login").await;
    assert!(login.all("a[href='/reset_password_request']") == ["Forgot password?"]);
    let form = browser.get("/reset_password_request").await;
    assert_eq!(form.status, 200);
    assert!(form.alerts().is_empty());
    let page = ask(&browser, " Alice@Example.COM\t").await;
    page.redirects_to("/login");
    let login = browser.follow(&page).await;
    assert!(login.says(CHECK_EMAIL));
    app.requests_settle().await;
    let owner: String = sqlx::query_scalar("SELECT user_id FROM outbox")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(owner, app.user("alice").await.id.as_str());
}

#[tokio::test]
async fn each_account_has_at_most_one_waiting_email() {
    let app = app().await;
    app.register("alice").await;
    app.register("bob").await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..30 {
        let browser = app.browser();
        let email = ["alice@example.com", "bob@example.com"][number % 2];
        requests.spawn(async move { ask(&browser, email).await });
    }
    for page in requests.join_all().await {
        page.redirects_to("/login");
    }
    assert_eq!(queued(&app).await, 2);
    app.execute("DELETE FROM outbox").await;
    ask(&app.browser(), "alice@example.com").await;
    assert_eq!(queued(&app).await, 1, "the next one, once it was sent");
}

#[tokio::test]
async fn an_invalid_address_is_an_error_at_the_field() {
    let app = app().await;
    let long = format!("{}@example.com", "a".repeat(250));
    for email in [
        "",
        " ",
        "alice",
        "alice@",
        "@example.com",
        "a b@c",
        "a\0@b",
        &long,
    ] {
        let page = ask(&app.browser(), email).await;
        assert_errors(&page, &[("email", "Enter a valid email address")]);
        assert_eq!(page.set_cookies(), Vec::<&str>::new());
        let kept = page.value_of("email");
        assert!(email.contains('\0') || kept.as_deref() == Some(email));
    }
    let page = app.browser().post("/reset_password_request", &[]).await;
    assert_errors(&page, &[("email", "Enter a valid email address")]);
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 0);
}

/// The answer without its random parts.
fn visible(page: &Page) -> (u16, Vec<String>, &str) {
    let mut headers: Vec<String> = page
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| {
            let value = value.to_str().unwrap();
            let shown = match value.split_once("; ") {
                Some((_, attributes)) if name == "set-cookie" => attributes,
                _ => value,
            };
            format!("{name}: {shown}")
        })
        .collect();
    headers.sort();
    (page.status, headers, &page.body)
}

/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_an_unknown_address_and_a_known_one_get_the_same_answer() {
    let app = app().await;
    app.register("alice").await;
    app.with_two_factor("guarded", PHONE).await;
    let mut answers = Vec::new();
    for email in [
        "alice@example.com",
        "alice@example.com", // one waits already
        "ALICE@EXAMPLE.COM",
        "guarded@example.com",
        "nobody@example.com",
        "nobody@localhost",
        "no..body@example..com",
        "a@b@c",
        "'OR'1'='1@example.com",
        "%@example.com",
        "n\u{f6}body@ex\u{e4}mple.com",
    ] {
        let browser = app.browser();
        let page = ask(&browser, email).await;
        let login = browser.follow(&page).await;
        assert!(login.says(CHECK_EMAIL), "{email}");
        assert!(!login.body.contains(email));
        answers.push((email, page, login.body));
    }
    for (email, page, login) in &answers {
        assert_eq!(visible(page), visible(&answers[0].1), "{email}");
        assert_eq!(login, &answers[0].2, "{email}");
    }
    assert_eq!(visible(&answers[0].1).0, 303);
    assert_eq!(queued(&app).await, 2);
}

#[tokio::test]
async fn attack_16_a_forged_host_is_neither_stored_nor_sent() {
    let app = app().await;
    app.register("alice").await;
    for (name, value) in [
        (HOST.as_str(), "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
    ] {
        app.execute("DELETE FROM outbox").await;
        let request = app
            .browser()
            .request(Method::POST, "/reset_password_request")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header(name, value)
            .body("email=alice@example.com");
        let page = app.browser().send(request).await;
        page.redirects_to("/login");
        assert_eq!(queued(&app).await, 1);
        let followed = app
            .browser()
            .request(Method::GET, &app.reset_link("alice").await)
            .header(name, value);
        let page = app.browser().send(followed).await;
        page.redirects_to("/reset_password");
        assert!(!format!("{:?}", page.headers).contains("evil"));
        let stored = "SELECT COUNT(*) FROM outbox WHERE mail LIKE '%evil%'";
        assert_eq!(app.count(stored).await, 0);
    }
}
