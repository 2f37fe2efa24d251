//! What is no HTTP, or nearly: answered or cut off, and nothing stuck behind it.

use tokio::io::AsyncWriteExt;

use super::{exchange, opened, rest, status};
use crate::support::{PASSWORD, TestApp};

/// Sends bytes, keeps the connection open, and tells the status that comes before the
/// server ends it.
async fn told(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = opened(app.address, bytes).await;
    status(&rest(&mut stream).await).to_owned()
}

/// ASVS 4.2.1
#[tokio::test]
async fn a_head_that_is_none_is_400() {
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
        assert_eq!(told(&app, bytes).await, "400", "{text:?}");
    }
    // Who speaks HTTP/2 would not understand.
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(told(&app, http2).await, "none");
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// RFC 9112, 3.2
#[tokio::test]
async fn a_request_that_does_not_say_once_which_host_it_is_for_is_400() {
    let app = TestApp::start().await;
    for headers in [
        "",
        "Host:\r\n",
        "Host: x\r\nHost: x\r\n",
        "Host: x\r\nX: y\r\nhost: z\r\n",
        "Host: x y\r\n",
        "Host: x, y\r\n",
        "Host: x/y\r\n",
        "Host: x?y\r\n",
        "Host: x#y\r\n",
        "Host: y@x\r\n",
        "Host: <x>\r\n",
        "Host: x\\\r\n",
        "Host: \"x\"\r\n",
        "Host: \u{fc}\r\n",
        "Host: :80\r\n",
        "Host: x:y\r\n",
        "Host: x:80:80\r\n",
        "Host: x:+80\r\n",
        "Host: x:65536\r\n",
        "Host: ::1\r\n",
        "Host: [::1\r\n",
        "Host: [::1]x\r\n",
        "Host: %\r\n",
        "Host: [x]\r\n",
        "Host: x[::1]\r\n",
        "Host: y@x:80\r\n",
    ] {
        let request = format!("GET /login HTTP/1.1\r\n{headers}\r\n");
        let mut stream = opened(app.address, request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert_eq!(status(&answer), "400", "{headers:?}");
        assert!(answer.ends_with("\r\n\r\n"), "{headers:?}: {answer}");
    }
    for headers in [
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
        assert_eq!(told(&app, request.as_bytes()).await, "200", "{headers:?}");
    }
    // There was no such header in 1.0; who sends one does it as in 1.1.
    for (headers, expected) in [
        ("", "200"),
        ("Host: x\r\n", "200"),
        ("Host: x\r\nHost: x\r\n", "400"),
    ] {
        let request = format!("GET /login HTTP/1.0\r\n{headers}\r\n");
        assert_eq!(
            told(&app, request.as_bytes()).await,
            expected,
            "{headers:?}"
        );
    }
    // Nothing of what is refused has an effect.
    app.register("harry").await;
    let before = app.dump().await;
    let body = format!("username=harry&password={}", PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /login HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(told(&app, request.as_bytes()).await, "400");
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_body_that_is_cut_wrongly_is_400_and_does_nothing() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let before = app.dump().await;
    let fields = format!("username=harry&password={}", PASSWORD.replace(' ', "+"));
    let length = fields.len();
    for body in [
        format!("{length:x}\r\n{fields}XX0\r\n\r\n"),
        format!("{length:x}\n{fields}\r\n0\r\n\r\n"),
        format!("{length:x}x\r\n{fields}\r\n0\r\n\r\n"),
        format!("0x{length:x}\r\n{fields}\r\n0\r\n\r\n"),
        format!("-{length:x}\r\n{fields}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{fields}\r\nz\r\n\r\n"),
        format!("{length:x};{}\r\n{fields}\r\n0\r\n\r\n", "a".repeat(20_000)),
        format!("10000000000000000{length:x}\r\n{fields}\r\n0\r\n\r\n"),
        format!("\r\n{fields}\r\n0\r\n\r\n"),
    ] {
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n{body}"
        );
        assert_eq!(told(&app, request.as_bytes()).await, "400", "{body}");
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn a_body_that_breaks_off_does_nothing() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let before = app.dump().await;
    let fields = format!("username=harry&password={}", PASSWORD.replace(' ', "+"));
    for (header, body) in [
        (
            format!("Content-Length: {}", fields.len() + 1),
            fields.clone(),
        ),
        (
            "Transfer-Encoding: chunked".into(),
            format!("{:x}\r\n{fields}\r\n", fields.len()),
        ),
        (
            "Transfer-Encoding: chunked".into(),
            format!("{:x}\r\n{fields}\r\n0\r\n", fields.len()),
        ),
    ] {
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{header}\r\n\r\n{body}"
        );
        let answer = exchange(&app, &request).await;
        assert!(["none", "400"].contains(&status(&answer)), "{answer}");
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn odd_requests_that_are_http_are_answered() {
    let app = TestApp::start().await;
    for (line, expected) in [
        ("GET /login HTTP/1.1\r\nHost: x", "200"),
        ("GET /login HTTP/1.0", "200"),
        (
            "GET http://evil.example/login HTTP/1.1\r\nHost: evil.example",
            "200",
        ),
        ("\r\n\r\nGET /login HTTP/1.1\r\nHost: x", "200"),
        ("GET /login HTTP/1.1\nHost: x", "200"),
        ("GET /login HTTP/1.1\r\nHost: x\r\nX: \u{ff}\u{fe}", "200"),
        (
            "GET /login HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
            "200",
        ),
        (
            "GET /login HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            "200",
        ),
        (
            "GET /login HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,1-2,2-3",
            "200",
        ),
        (
            "GET /login HTTP/1.1\r\nHost: x\r\nAccept-Encoding: bomb;q=9, *;q=0",
            "200",
        ),
        ("get /login HTTP/1.1\r\nHost: x", "405"),
        ("FOO /login HTTP/1.1\r\nHost: x", "405"),
        (
            "TRACE /login HTTP/1.1\r\nHost: x\r\nCookie: session=x",
            "405",
        ),
        ("OPTIONS /login HTTP/1.1\r\nHost: x", "405"),
        ("OPTIONS * HTTP/1.1\r\nHost: x", "404"),
        ("GET login HTTP/1.1\r\nHost: x", "404"),
        ("GET /%00 HTTP/1.1\r\nHost: x", "404"),
        ("GET /%ff%fe HTTP/1.1\r\nHost: x", "404"),
        ("GET /static/../Cargo.toml HTTP/1.1\r\nHost: x", "404"),
        ("GET /static/%2e%2e/Cargo.toml HTTP/1.1\r\nHost: x", "404"),
    ] {
        let separator = if line.contains("\r\n") || !line.contains('\n') {
            "\r\n"
        } else {
            "\n"
        };
        let request = format!("{line}{separator}Connection: close{separator}{separator}");
        let mut stream = opened(app.address, request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert!(!answer.contains("evil.example"), "{answer}");
        assert!(!answer.contains("session=x"), "{answer}");
    }
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_one_after_the_other() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let body = "username=harry&password=x";
    let post = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut requests = String::new();
    let mut expected = Vec::new();
    for _ in 0..20 {
        requests += &get("/healthz");
        requests += &get("/nowhere");
        expected.extend(["200", "404"]);
    }
    requests += &post;
    requests += "GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    requests += &get("/healthz"); // after the end that the client has said
    expected.extend(["422", "200"]);
    let mut stream = opened(app.address, b"").await;
    // In pieces that end anywhere.
    for piece in requests.as_bytes().chunks(97) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = rest(&mut stream).await;
    let found: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|it| &it[..3])
        .collect();
    assert_eq!(found, expected);
}
