//! Malformed and unusual requests are answered or cut off, and block nothing.

use tokio::io::AsyncWriteExt;

use super::{connect_and_send, exchange, read_to_end, status};
use crate::support::{PASSWORD, TestApp};

/// The beginning of a login request.
const POST_LOGIN: &str = "POST /login HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\n\
                          Content-Type: application/x-www-form-urlencoded\r\n";

/// The body of a login that would succeed.
fn login_form() -> String {
    format!("username=harry&password={}", PASSWORD.replace(' ', "+"))
}

/// Sends bytes and keeps the connection open. Returns what comes until the server closes it.
async fn send(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = connect_and_send(app.address, bytes).await;
    read_to_end(&mut stream).await
}

/// ASVS 4.2.1
#[tokio::test]
async fn a_malformed_head_is_400() {
    let app = TestApp::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], // TLS
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /\r\n\r\n", // HTTP/0.9
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET / SMTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / x HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\0\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo\0st: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\rHost: x\r\r",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(status(&send(&app, bytes).await), "400", "{text:?}");
    }
    // An HTTP/2 client would not understand a response.
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(status(&send(&app, http2).await), "none");
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// RFC 9112, 3.2
#[tokio::test]
async fn a_request_that_does_not_name_one_host_is_400_and_has_no_effect() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let before = app.dump().await;
    let form = login_form();
    for headers in [
        "",
        "Host: x\r\nHost: x\r\n",
        "Host: x\r\nX: y\r\nhost: z\r\n",
        "Host: x y\r\n",
        "Host: x/y\r\n",
        "Host: x?y\r\n",
        "Host: x#y\r\n",
        "Host: y@x\r\n",
        "Host: y@x:80\r\n",
        "Host: <x>\r\n",
        "Host: x\\\r\n",
        "Host: \"x\"\r\n",
        "Host: \u{fc}\r\n",
        "Host: x:80:80\r\n",
        "Host: ::1\r\n",
        "Host: [::1\r\n",
    ] {
        let length = form.len();
        let request = format!(
            "{POST_LOGIN}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{form}"
        );
        let response = send(&app, request.as_bytes()).await;
        assert_eq!(status(&response), "400", "{headers:?}");
        assert!(response.ends_with("\r\n\r\n"), "{headers:?}: {response}");
    }
    assert_eq!(app.dump().await, before);
    for headers in [
        "Host:\r\n",
        "Host: x\r\n",
        "hOST:\tlogin.example.org.:8080 \r\n",
        "Host: x:65535\r\n",
        "Host: x:\r\n",
        "Host: 127.0.0.1:1\r\n",
        "Host: [::1]\r\n",
        "Host: [2001:db8::1]:443\r\n",
        "Host: xn--bcher-kva.example\r\n",
        "Host: a_b~c!\r\n",
    ] {
        let request = format!("GET /login HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        assert_eq!(
            status(&send(&app, request.as_bytes()).await),
            "200",
            "{headers:?}"
        );
    }
    // HTTP/1.0 has no Host header, but clients may send one.
    for (headers, expected) in [
        ("", "200"),
        ("Host: x\r\n", "200"),
        ("Host: x\r\nHost: x\r\n", "400"),
    ] {
        let request = format!("GET /login HTTP/1.0\r\n{headers}\r\n");
        let response = send(&app, request.as_bytes()).await;
        assert_eq!(status(&response), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_malformed_or_truncated_body_has_no_effect() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let before = app.dump().await;
    let form = login_form();
    let length = form.len();
    let chunked = |body: String| format!("Transfer-Encoding: chunked\r\n\r\n{body}");
    for malformed in [
        format!("{length:x}\r\n{form}XX0\r\n\r\n"),
        format!("{length:x}\n{form}\r\n0\r\n\r\n"),
        format!("{length:x}x\r\n{form}\r\n0\r\n\r\n"),
        format!("0x{length:x}\r\n{form}\r\n0\r\n\r\n"),
        format!("-{length:x}\r\n{form}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{form}\r\nz\r\n\r\n"),
        format!("{length:x};{}\r\n{form}\r\n0\r\n\r\n", "a".repeat(20_000)),
        format!("10000000000000000{length:x}\r\n{form}\r\n0\r\n\r\n"),
        format!("\r\n{form}\r\n0\r\n\r\n"),
    ] {
        let request = format!("{POST_LOGIN}Host: x\r\n{}", chunked(malformed.clone()));
        assert_eq!(
            status(&send(&app, request.as_bytes()).await),
            "400",
            "{malformed}"
        );
    }
    for truncated in [
        format!("Content-Length: {}\r\n\r\n{form}", length + 1),
        chunked(format!("{length:x}\r\n{form}\r\n")),
        chunked(format!("{length:x}\r\n{form}\r\n0\r\n")),
    ] {
        let response = exchange(&app, &format!("{POST_LOGIN}Host: x\r\n{truncated}")).await;
        assert!(["none", "400"].contains(&status(&response)), "{response}");
    }
    assert_eq!(app.dump().await, before);
}

/// ASVS 4.1.4
#[tokio::test]
async fn unusual_but_valid_requests_are_answered() {
    let app = TestApp::start().await;
    for (line, headers, expected) in [
        ("GET /login HTTP/1.1", "", "200"),
        ("\r\n\r\nGET /login HTTP/1.1", "", "200"),
        ("GET http://evil.example/login HTTP/1.1", "", "200"),
        ("GET /login HTTP/1.1", "X: \u{ff}\u{fe}\r\n", "200"),
        (
            "GET /login HTTP/1.1",
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            "200",
        ),
        (
            "GET /login HTTP/1.1",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            "200",
        ),
        ("GET /login HTTP/1.1", "Range: bytes=0-1,1-2,2-3\r\n", "200"),
        (
            "GET /login HTTP/1.1",
            "Accept-Encoding: bomb;q=9, *;q=0\r\n",
            "200",
        ),
        ("GET http://evil.example/healthz2 HTTP/1.1", "", "404"),
        ("CONNECT evil.example:443 HTTP/1.1", "", "404"),
        ("get /login HTTP/1.1", "", "405"),
        ("FOO /login HTTP/1.1", "", "405"),
        ("TRACE /login HTTP/1.1", "Cookie: session=x\r\n", "405"),
        ("OPTIONS /login HTTP/1.1", "", "405"),
        ("OPTIONS * HTTP/1.1", "", "404"),
        ("GET login HTTP/1.1", "", "404"),
        ("GET /%00 HTTP/1.1", "", "404"),
        ("GET /%ff%fe HTTP/1.1", "", "404"),
        ("GET /static/../Cargo.toml HTTP/1.1", "", "404"),
        ("GET /static/%2e%2e/Cargo.toml HTTP/1.1", "", "404"),
    ] {
        let request = format!("{line}\r\nHost: evil.example\r\n{headers}Connection: close\r\n\r\n");
        let response = send(&app, request.as_bytes()).await;
        assert_eq!(status(&response), expected, "{line} {headers}: {response}");
        assert!(!response.contains("evil.example"), "{response}");
        assert!(!response.contains("session=x"), "{response}");
    }
    let bare_line_feeds = "GET /login HTTP/1.1\nHost: x\nConnection: close\n\n";
    assert_eq!(status(&send(&app, bare_line_feeds.as_bytes()).await), "200");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let form = "username=harry&password=x";
    let length = form.len();
    let post = format!("{POST_LOGIN}Host: x\r\nContent-Length: {length}\r\n\r\n{form}");
    let mut requests = String::new();
    let mut expected = Vec::new();
    for _ in 0..20 {
        requests += &get("/healthz");
        requests += &get("/nowhere");
        expected.extend(["200", "404"]);
    }
    requests += &post;
    requests += "GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    requests += &get("/healthz"); // after `Connection: close`
    expected.extend(["422", "200"]);
    let mut stream = connect_and_send(app.address, b"").await;
    // In pieces that end anywhere in a request.
    for piece in requests.as_bytes().chunks(97) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = read_to_end(&mut stream).await;
    let found: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|it| &it[..3])
        .collect();
    assert_eq!(found, expected);
}
