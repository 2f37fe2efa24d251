//! Error pages: each says what to do, and nothing of the internals.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use reqwest::Method;
use tower::ServiceExt;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use twostep::middleware::error_pages;
use twostep::middleware::request_log;

use crate::logs;
use crate::support::{Browser, Page, TestApp, raw};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const LIMIT: usize = 16 * 1024;

/// Internal terms; `_` stands for a space.
const INTERNAL: &str = "sqlx axum serde tower hyper tokio sqlite panicked unwrap src/ .rs
    deserialize extractor rejection sessions users challenges token confirm
    duplicate utf-8 such_table limit_exceeded path_param body_from content-type";

/// Asserts that a response is our error page for this status, without internals.
#[track_caller]
fn assert_error_page(page: &Page, status: u16, heading: &str) {
    assert_eq!(page.status, status, "{}", page.text());
    let content_type = page.header("content-type");
    assert_eq!(content_type, Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.first("h1").as_deref(), Some(heading));
    assert_eq!(page.attributes("main a", "href"), ["/home"]);
    let id = page.header("x-request-id").unwrap();
    assert!(id.len() >= 16, "{id}");
    assert_eq!(page.first("main small"), Some(format!("Request {id}")));
    let shown = page.body.replace(id, "").replace("charset=\"utf-8\"", "");
    for word in INTERNAL.split_whitespace() {
        let word = word.replace('_', " ");
        assert!(!shown.to_lowercase().contains(&word), "{word}: {shown}");
    }
}

/// Sends a request with a browser's session.
async fn send(app: &TestApp, browser: &Browser, line: &str, headers: &[&str], body: &[u8]) -> Page {
    let cookie = browser
        .session_cookie()
        .map(|value| format!("Cookie: session={value}"));
    let headers: Vec<&str> = headers.iter().copied().chain(cookie.as_deref()).collect();
    raw::send(app.address, line, &headers, body).await
}

fn length(body: &[u8]) -> String {
    format!("Content-Length: {}", body.len())
}

/// ASVS 1.5.2, 4.1.1, 15.3.7, 16.5.1
#[tokio::test]
async fn every_refused_request_gets_its_error_page() {
    const UNREADABLE: (u16, &str) = (400, "Invalid request");
    const NOT_FOUND: (u16, &str) = (404, "Page not found");
    const NOT_POSSIBLE: (u16, &str) = (405, "Method not allowed");
    const NO_FORM: (u16, &str) = (415, "Not a form");
    const INVALID: (u16, &str) = (422, "Invalid request");
    let app = TestApp::start().await;
    let (guest, harry) = (&app.browser(), &app.register_and_log_in("harry").await);
    let before = app.dump().await;
    #[rustfmt::skip] // one line per case
    let cases = [
        (guest, "GET /login?next=%2Fhome&next=%2F", "", &b""[..], UNREADABLE),
        (harry, "GET /user/%FF", "", b"", UNREADABLE),
        (harry, "GET /user/harry%C3", "", b"", UNREADABLE),
        (harry, "GET /user/%80%80", "", b"", UNREADABLE),
        // Different invalid bytes would otherwise become the same text.
        (guest, "POST /login", FORM, b"username=harry&password=%FF", UNREADABLE),
        (guest, "POST /login", FORM, b"username=%C3&password=x", UNREADABLE),
        (guest, "POST /login", FORM, b"password=\xff", UNREADABLE),
        (harry, "GET /user/%", "", b"", NOT_FOUND),
        (harry, "GET /user/%zz", "", b"", NOT_FOUND),
        (harry, "GET /user/ha%72ry%", "", b"", NOT_FOUND),
        (guest, "GET /static/nothing.css", "", b"", NOT_FOUND),
        (guest, "DELETE /login", "", b"", NOT_POSSIBLE),
        (guest, "PUT /healthz", "", b"", NOT_POSSIBLE),
        (guest, "POST /login", "Content-Type: application/json", b"username=harry", NO_FORM),
        (guest, "POST /login", "Content-Type: multipart/form-data; boundary=x", b"a", NO_FORM),
        (guest, "POST /login", "Content-Type: text/plain", b"username=harry", NO_FORM),
        (guest, "POST /login", "Content-Type: ", b"username=harry", NO_FORM),
        (guest, "POST /login", "", b"username=harry", NO_FORM),
        // A field that comes twice.
        (guest, "POST /login", FORM, b"username=a&username=b&password=x", INVALID),
        (guest, "POST /register", FORM, b"confirm_password=a&confirm_password=b", INVALID),
        (harry, "POST /edit_profile", FORM, b"about_me=a&about_me=b", INVALID),
        (guest, "POST /login", "Sec-Fetch-Site: cross-site", b"", (403, "Request refused")),
    ];
    for (browser, line, header, body, expected) in cases {
        let length = length(body);
        let headers: Vec<&str> = [header, &length]
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect();
        let page = send(&app, browser, line, &headers, body).await;
        assert_eq!(page.status, expected.0, "{line} {header}");
        assert_error_page(&page, expected.0, expected.1);
    }
    assert_eq!(app.dump().await, before);
    let page = guest
        .get("/no/<script>alert(1)</script>?q=%3Cimg+src%3Dx%3E")
        .await;
    assert_error_page(&page, 404, "Page not found");
    for echo in ["script>alert", "img", "/no/"] {
        assert!(!page.first("main").unwrap().contains(echo));
    }
    assert_eq!(page.all("script:not([src])").len(), 0);
}

#[tokio::test]
async fn a_malformed_query_is_ignored() {
    let app = TestApp::start().await;
    let guest = app.browser();
    for query in [
        "next=%FF", "next=%", "next=%2", "%", "&&&=&", "next", "next[]=x", "a=1&a=2", "?",
    ] {
        let page = send(&app, &guest, &format!("GET /login?{query}"), &[], b"").await;
        assert_eq!(page.status, 200, "{query}");
    }
}

/// ASVS 15.2.2, 16.5.1
#[tokio::test]
async fn a_form_of_16_kib_is_read_and_one_byte_more_is_413() {
    let app = TestApp::start().await;
    let guest = app.browser();
    let head = "username=harry&password=x&unknown=";
    for (size, status) in [(LIMIT, 422), (LIMIT + 1, 413), (4 * LIMIT, 413)] {
        let body = format!("{head}{}", "a".repeat(size - head.len()));
        let body = body.as_bytes();
        let whole = send(&app, &guest, "POST /login", &[FORM, &length(body)], body).await;
        let headers = [FORM, "Transfer-Encoding: chunked"];
        let parts = send(&app, &guest, "POST /login", &headers, &raw::chunked(body)).await;
        for page in [whole, parts] {
            if status == 413 {
                assert_error_page(&page, 413, "Too long");
            } else {
                assert_eq!(page.status, status, "{size}");
                assert!(page.says("Invalid username or password"));
            }
        }
    }
}

/// ASVS 13.4.2, 16.5.1, 16.5.3
#[tokio::test]
async fn a_database_error_is_500() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    app.execute("ALTER TABLE sessions RENAME TO lost").await;
    let failed = "Something went wrong";
    assert_error_page(&harry.get("/home").await, 500, failed);
    assert_error_page(&harry.get("/nowhere").await, 500, failed);
    app.execute("ALTER TABLE lost RENAME TO sessions").await;
    assert_eq!(harry.get("/home").await.status, 200);

    app.execute("ALTER TABLE challenges RENAME TO gone").await;
    let page = harry.enable("+254720227267").await;
    assert_error_page(&page, 500, failed);
    app.execute("ALTER TABLE users RENAME TO lost").await;
    assert_error_page(&app.browser().log_in("harry", "x").await, 500, failed);
    let page = app
        .browser()
        .register("ron", "ron@example.com", "green tram at noon")
        .await;
    assert_error_page(&page, 500, failed);
    // Pages without a query still work.
    assert_eq!(app.browser().get("/login").await.status, 200);
    assert_eq!(app.browser().get("/healthz").await.body, "ok");
}

async fn fail() -> StatusCode {
    panic!("secret {}", 42)
}

/// No page panics, so this handler is wrapped in the same layers.
/// ASVS 13.4.2, 16.3.4, 16.5.4
#[tokio::test]
async fn a_panic_is_500_and_is_logged() {
    logs::keep();
    let app = TestApp::start().await;
    let state = app.state.clone();
    let router: Router = Router::new()
        .route("/", get(fail))
        .layer(CatchPanicLayer::custom(error_pages::handle_panic))
        .layer(from_fn_with_state(None, request_log::log))
        .layer(MapResponseLayer::new(move |response| {
            error_pages::render(&state, response)
        }));
    logs::take();
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, LIMIT).await.unwrap().to_vec();
    let page = Page {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body).unwrap(),
    };
    assert_eq!(page.status, 500);
    assert_eq!(page.first("h1").as_deref(), Some("Something went wrong"));
    assert!(!page.body.contains("secret") && !page.body.contains("panic"));
    let log = logs::take().join("\n");
    let id = page.header("x-request-id").unwrap();
    assert!(log.contains("secret 42") && log.contains(id), "{log}");
}

#[tokio::test]
async fn each_request_gets_an_id_and_the_clients_own_is_ignored() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let mut ids = Vec::new();
    for path in ["/login", "/nowhere", "/home", "/healthz", "/static/x"] {
        let request = browser
            .request(Method::GET, path)
            .header("x-request-id", "mine-mine-mine");
        let page = browser.send(request).await;
        assert!(!page.body.contains("mine-mine"));
        ids.push(page.header("x-request-id").unwrap().to_owned());
        assert_eq!(page.headers.get_all("x-request-id").iter().count(), 1);
    }
    assert!(!ids.iter().any(|id| id.contains("mine")));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_response_to_head_has_no_body() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    for (line, status) in [
        ("HEAD /home", 200),
        ("HEAD /nowhere", 404),
        ("HEAD /verify_2fa/resend", 405),
        ("HEAD /user/%FF", 400),
        ("HEAD /register", 303),
        ("HEAD /static/x", 404),
        ("HEAD /healthz", 200),
    ] {
        let page = send(&app, &harry, line, &[], b"").await;
        assert_eq!((page.status, page.body.as_str()), (status, ""), "{line}");
    }
}

#[tokio::test]
async fn error_pages_have_the_links_of_the_user() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    let foreign = harry
        .request(Method::POST, "/edit_profile")
        .header("origin", "https://evil.example");
    for page in [
        harry.get("/nowhere").await,
        harry.get("/user/nobody").await,
        harry.send(harry.request(Method::DELETE, "/home")).await,
        harry
            .post("/edit_profile", &[("username", "a"), ("username", "b")])
            .await,
    ] {
        assert_eq!(
            page.all("nav .bar-link"),
            ["Profile", "Security", "Log out"],
            "{}",
            page.status
        );
        let links = page.attributes("nav a.bar-link", "href");
        assert_eq!(links, ["/user/harry", "/security"]);
    }
    // The CSRF layer refuses before the session is read.
    let page = harry.send(foreign).await;
    assert_eq!(page.all("nav .bar-link"), ["Log in", "Register"]);
    let page = app.browser().get("/nowhere").await;
    assert_eq!(page.all("nav .bar-link"), ["Log in", "Register"]);
}
