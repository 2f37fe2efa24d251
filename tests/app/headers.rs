//! The headers of every response, and static files.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, IF_NONE_MATCH};

use crate::support::{PHONE, Page, TestApp};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https://www.gravatar.com; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The headers that every response has, with their values.
const ALWAYS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
];

/// The other headers that a response may have.
const KNOWN: &str = "permissions-policy cache-control x-request-id date content-type
    content-length location set-cookie allow etag vary content-encoding transfer-encoding
    clear-site-data";

const A_YEAR: &str = "max-age=31536000, immutable";

#[track_caller]
fn assert_headers(page: &Page, what: &str) {
    for (name, value) in ALWAYS {
        let found: Vec<_> = page.headers.get_all(name).iter().collect();
        assert_eq!(found, [value], "{what}: {name}");
    }
    let policy = page.header("permissions-policy").unwrap();
    assert!(policy.split(", ").all(|feature| feature.ends_with("=()")));
    for feature in ["camera", "geolocation", "microphone", "payment", "usb"] {
        assert!(policy.contains(&format!("{feature}=()")), "{feature}");
    }
    let known: Vec<&str> = KNOWN.split_whitespace().collect();
    for name in page.headers.keys().map(|name| name.as_str()) {
        let expected = known.contains(&name) || ALWAYS.iter().any(|(always, _)| *always == name);
        assert!(expected, "{what}: {name}");
    }
    for name in ["cache-control", "permissions-policy", "x-request-id"] {
        assert_eq!(page.headers.get_all(name).iter().count(), 1, "{what}");
    }
}

/// The paths of the static files on a page.
fn static_files(page: &Page) -> BTreeSet<String> {
    let hrefs = page.attributes("link", "href");
    let sources = page.attributes("script, img[src^='/']", "src");
    hrefs.into_iter().chain(sources).collect()
}

/// Without headers for CORS, no other site can read a response.
///
/// ASVS 1.3.2, 3.2.1, 3.4.2, 3.4.3, 3.4.4, 3.4.5, 3.4.6, 3.4.8, 13.4.6, 14.2.2, 14.3.2
#[tokio::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    let css = static_files(&harry.get("/home").await).pop_first().unwrap();
    let twice = [("username", "a"), ("username", "b")];
    let foreign = harry
        .request(Method::POST, "/logout")
        .header("origin", "https://evil.example");
    let long = harry
        .request(Method::POST, "/logout")
        .body("a".repeat(16 * 1024 + 1));
    let json = harry.request(Method::POST, "/edit_profile").body("{}");
    let known = harry.request(Method::GET, &css).header(IF_NONE_MATCH, "*");
    let cors = |method, path| {
        let request = harry.request(method, path);
        let request = request.header("origin", "https://evil.example");
        request.header("access-control-request-method", "POST")
    };
    app.execute("ALTER TABLE challenges RENAME TO lost").await;
    for (status, page) in [
        (200, harry.get("/home").await),
        (200, harry.send(cors(Method::GET, "/home")).await),
        (200, harry.send(cors(Method::GET, "/healthz")).await),
        (405, harry.send(cors(Method::OPTIONS, "/login")).await),
        (200, harry.head("/home").await),
        (200, harry.get("/healthz").await),
        (200, harry.get("/dev/phone").await),
        (303, harry.get("/login").await),
        (303, app.browser().get("/home").await),
        (400, harry.get("/reauth?next=a&next=b").await),
        (403, harry.send(foreign).await),
        (404, harry.get("/nowhere").await),
        (404, harry.get("/static/nothing").await),
        (413, harry.send(long).await),
        (415, harry.send(json).await),
        (422, harry.post("/edit_profile", &twice).await),
        (422, app.browser().log_in("harry", "x").await),
        (500, harry.enable(PHONE).await),
        (303, harry.post("/logout", &[]).await),
    ] {
        assert_eq!(page.status, status);
        assert_headers(&page, &status.to_string());
        assert_eq!(page.header("cache-control"), Some("no-store"), "{status}");
    }
    for (status, page) in [
        (200, app.browser().get(&css).await),
        (304, harry.send(known).await),
    ] {
        assert_eq!(page.status, status);
        assert_headers(&page, &css);
        assert_eq!(page.header("cache-control"), Some(A_YEAR));
        assert_eq!(page.set_cookie(), None);
    }
}

/// ASVS 3.4.1
#[tokio::test]
async fn only_production_sends_hsts() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    for path in "/login /home /nowhere /healthz /static/x /dev/phone".split(' ') {
        let mut page = app.browser().get(path).await;
        let hsts = page.headers.remove("strict-transport-security").unwrap();
        assert_eq!(hsts, "max-age=63072000; includeSubDomains");
        assert_headers(&page, path);
    }
}

/// ASVS 3.2.1, 4.1.1
#[tokio::test]
async fn static_files_are_named_by_content_and_cached_for_a_year() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let mut files = static_files(&browser.get("/login").await);
    files.extend(static_files(&browser.get("/dev/phone").await));
    assert!(files.len() >= 5, "{files:?}");
    let name = regex::Regex::new(r"^/static/[a-z0-9/._-]+\.[0-9a-f]{16}\.(css|js|svg)$").unwrap();
    for path in files {
        let kind = name.captures(&path).expect(&path)[1].to_owned();
        let file = browser.get(&path).await;
        assert_eq!(file.status, 200);
        let content_type = match kind.as_str() {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(file.header("content-type"), Some(content_type));
        assert_eq!(file.header("content-encoding"), None);
        assert_eq!(file.header("cache-control"), Some(A_YEAR));

        let etag = file.header("etag").unwrap();
        let again = browser
            .request(Method::GET, &path)
            .header(IF_NONE_MATCH, etag);
        let again = browser.send(again).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(again.header("etag"), Some(etag));
        let other = browser
            .request(Method::GET, &path)
            .header(IF_NONE_MATCH, "\"x\"");
        assert_eq!(browser.send(other).await.status, 200);

        let request = browser.request(Method::GET, &path);
        let small = request
            .header(ACCEPT_ENCODING, "gzip, br")
            .send()
            .await
            .unwrap();
        assert_eq!(small.headers()["content-encoding"], "br", "{path}");
        assert_eq!(small.headers()["vary"], "accept-encoding");
        assert!(
            small.bytes().await.unwrap().len() < file.body.len(),
            "{path}"
        );
    }
}

/// ASVS 4.1.1, 13.4.5
#[tokio::test]
async fn health_checks_are_plain_text() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let page = app.browser().get(path).await;
        assert_eq!((page.status, page.body.as_str()), (200, "ok"));
        assert_eq!(
            page.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
}
