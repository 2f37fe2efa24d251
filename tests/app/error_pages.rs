//! Refusals and failures: each is a page of ours that says what to do, and
//! nothing of the inside.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use reqwest::Method;
use tower::ServiceExt;
use tower::layer::layer_fn;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use twostep::middleware::error_pages;
use twostep::middleware::request_log::RequestLog;

use crate::logs;
use crate::support::{Browser, Page, TestApp, raw};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const LIMIT: usize = 16 * 1024;

/// Words that only the inside knows; `_` stands for a blank.
const INSIDE: &str = "sqlx axum serde tower hyper tokio sqlite panicked unwrap src/ .rs
    deserialize extractor rejection sessions users challenges token confirm
    duplicate utf-8 such_table limit_exceeded path_param body_from content-type";

/// Asserts that an answer is our page for this status, and gives nothing away.
#[track_caller]
fn is_our_page(page: &Page, status: u16, heading: &str) {
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
    for word in INSIDE.split_whitespace() {
        let word = word.replace('_', " ");
        assert!(!shown.to_lowercase().contains(&word), "{word}: {shown}");
    }
}

/// Sends a request as somebody, byte by byte.
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

/// ASVS 1.5.2, 16.5.1
#[tokio::test]
async fn what_cannot_be_read_is_400() {
    let app = TestApp::start().await;
    let guest = app.browser();
    let page = send(&app, &guest, "GET /login?next=%2Fhome&next=%2F", &[], b"").await;
    is_our_page(&page, 400, "Not understood");

    let harry = app.signed_in("harry").await;
    for line in ["GET /user/%FF", "GET /user/harry%C3", "GET /user/%80%80"] {
        let page = send(&app, &harry, line, &[], b"").await;
        is_our_page(&page, 400, "Not understood");
    }
    // Text that is not UTF-8 would otherwise be taken for other text.
    for body in [
        &b"username=harry&password=%FF"[..],
        b"username=%C3&password=x",
        b"password=\xff",
    ] {
        let page = send(&app, &guest, "POST /login", &[FORM, &length(body)], body).await;
        is_our_page(&page, 400, "Not understood");
    }
}

#[tokio::test]
async fn a_broken_query_or_escape_is_no_failure() {
    let app = TestApp::start().await;
    let guest = app.browser();
    for query in [
        "next=%FF", "next=%", "next=%2", "%", "&&&=&", "next", "next[]=x", "a=1&a=2", "?",
    ] {
        let page = send(&app, &guest, &format!("GET /login?{query}"), &[], b"").await;
        assert_eq!(page.status, 200, "{query}");
    }
    let harry = app.signed_in("harry").await;
    for path in ["/user/%", "/user/%zz", "/user/ha%72ry%"] {
        let page = send(&app, &harry, &format!("GET {path}"), &[], b"").await;
        is_our_page(&page, 404, "Page not found");
    }
}

/// ASVS 16.5.1
#[tokio::test]
async fn a_form_from_elsewhere_is_403() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let request = browser
        .request(Method::POST, "/login")
        .header("sec-fetch-site", "cross-site");
    is_our_page(&browser.send(request).await, 403, "Request refused");
}

/// ASVS 4.1.1, 16.5.1
#[tokio::test]
async fn not_found_and_not_possible() {
    let app = TestApp::start().await;
    let guest = app.browser();
    let page = guest
        .get("/no/<script>alert(1)</script>?q=%3Cimg+src%3Dx%3E")
        .await;
    is_our_page(&page, 404, "Page not found");
    for echo in ["script>alert", "img", "/no/"] {
        assert!(!page.first("main").unwrap().contains(echo));
    }
    assert_eq!(page.all("script:not([src])").len(), 0);
    let page = guest.send(guest.request(Method::DELETE, "/login")).await;
    is_our_page(&page, 405, "Not possible");
    let page = guest.get("/static/nothing.css").await;
    is_our_page(&page, 404, "Page not found");
    let page = guest.send(guest.request(Method::PUT, "/healthz")).await;
    is_our_page(&page, 405, "Not possible");
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
                is_our_page(&page, 413, "Too long");
            } else {
                assert_eq!(page.status, status, "{size}");
                assert!(page.says("Invalid username or password"));
            }
        }
    }
}

/// ASVS 4.1.1, 16.5.1
#[tokio::test]
async fn what_is_no_form_is_415() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let guest = app.browser();
    let (before, body) = (app.dump().await, b"username=harry");
    for kind in [
        "Content-Type: application/json",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: text/plain",
        "Content-Type: ",
        "X-None: x",
    ] {
        let page = send(&app, &guest, "POST /login", &[kind, &length(body)], body).await;
        is_our_page(&page, 415, "Not a form");
    }
    assert_eq!(app.dump().await, before);
}

/// ASVS 15.3.7, 16.5.1
#[tokio::test]
async fn a_field_that_comes_twice_is_422() {
    let app = TestApp::start().await;
    let guest = app.browser();
    let twice = [("username", "a"), ("username", "b"), ("password", "x")];
    is_our_page(&guest.post("/login", &twice).await, 422, "Not understood");
    let twice = [("confirm_password", "a"), ("confirm_password", "b")];
    is_our_page(
        &guest.post("/register", &twice).await,
        422,
        "Not understood",
    );
    let harry = app.signed_in("harry").await;
    let twice = [("about_me", "a"), ("about_me", "b")];
    is_our_page(
        &harry.post("/edit_profile", &twice).await,
        422,
        "Not understood",
    );
}

/// ASVS 13.4.2, 16.5.1, 16.5.3
#[tokio::test]
async fn a_failing_database_is_500() {
    let app = TestApp::start().await;
    let harry = app.signed_in("harry").await;
    app.execute("ALTER TABLE sessions RENAME TO lost").await;
    let failed = "Something went wrong";
    is_our_page(&harry.get("/home").await, 500, failed);
    is_our_page(&harry.get("/nowhere").await, 500, failed);
    app.execute("ALTER TABLE lost RENAME TO sessions").await;
    assert_eq!(harry.get("/home").await.status, 200);

    app.execute("ALTER TABLE challenges RENAME TO gone").await;
    let page = harry.enable("+254720227267").await;
    is_our_page(&page, 500, failed);
    app.execute("ALTER TABLE users RENAME TO lost").await;
    is_our_page(&app.browser().log_in("harry", "x").await, 500, failed);
    let page = app
        .browser()
        .register("ron", "ron@example.com", "green tram at noon")
        .await;
    is_our_page(&page, 500, failed);
    // What needs no row still works.
    assert_eq!(app.browser().get("/login").await.status, 200);
    assert_eq!(app.browser().get("/healthz").await.body, "ok");
}

/// No page of ours panics, so this one is put behind the same layers.
/// ASVS 13.4.2, 16.3.4, 16.5.4
#[tokio::test]
async fn a_panic_is_500_and_stands_in_the_log() {
    logs::keep();
    let app = TestApp::start().await;
    let state = app.state.clone();
    let router: Router = Router::new()
        .route(
            "/",
            get(|| async {
                if true {
                    panic!("secret {}", 42)
                }
            }),
        )
        .layer(CatchPanicLayer::custom(error_pages::panicked))
        .layer(layer_fn(RequestLog))
        .layer(MapResponseLayer::new(move |response| {
            error_pages::render(&state, response)
        }));
    logs::take();
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let page = Page {
        status: 500,
        headers: response.headers().clone(),
        body: String::from_utf8(
            to_bytes(response.into_body(), LIMIT)
                .await
                .unwrap()
                .to_vec(),
        )
        .unwrap(),
    };
    assert_eq!(page.first("h1").as_deref(), Some("Something went wrong"));
    assert!(!page.body.contains("secret") && !page.body.contains("panic"));
    let log = logs::take().join("\n");
    let id = page.header("x-request-id").unwrap();
    assert!(log.contains("secret 42") && log.contains(id), "{log}");
}

#[tokio::test]
async fn a_request_gets_its_number_here() {
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
async fn an_answer_to_head_has_no_body() {
    let app = TestApp::start().await;
    let harry = app.signed_in("harry").await;
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
async fn who_is_signed_in_keeps_their_own_links() {
    let app = TestApp::start().await;
    let harry = app.signed_in("harry").await;
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
    // Refused before anybody asked who it is.
    let page = harry.send(foreign).await;
    assert_eq!(page.all("nav .bar-link"), ["Log in", "Register"]);
    let page = app.browser().get("/nowhere").await;
    assert_eq!(page.all("nav .bar-link"), ["Log in", "Register"]);
}
