//! Raw requests: ambiguous, malformed, oversized or slow, and injection attempts through forms and headers.

mod malformed;
mod oversized;
mod slow;

use std::net::SocketAddr;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use twostep::dev::simulator::Counters;

use crate::notices::only_notice;
use crate::support::{PASSWORD, PATIENCE, TestApp};

/// Sends bytes, and returns what comes back until the server closes the connection.
async fn exchange(app: &TestApp, bytes: &str) -> String {
    let mut stream = connect_and_send(app.address, bytes.as_bytes()).await;
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await
}

/// Connects and sends bytes.
async fn connect_and_send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have refused the first bytes and closed the connection.
    let _ = stream.write_all(bytes).await;
    stream
}

/// The status of a response.
fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("none")
}

/// Reads until the server closes the connection, which it must.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    let _ = closed.expect("the connection stays open");
    String::from_utf8_lossy(&response).into_owned()
}

/// ASVS 4.2.1
#[tokio::test]
async fn a_request_with_an_ambiguous_length_smuggles_no_second_one() {
    let app = TestApp::start().await;
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = smuggled.len();
    let both = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
    for headers in [
        both.as_str(),
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5x",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    ] {
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: x\r\n{headers}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n0\r\n\r\n{smuggled}"
        );
        let response = exchange(&app, &request).await;
        // At most one response: the rest of the bytes is never a second request.
        assert!(
            response.matches("HTTP/1.1 ").count() <= 1,
            "{headers}: {response}"
        );
        assert!(!response.ends_with("\r\n\r\nok"), "{headers}: {response}");
    }
    // Alone, the same bytes are a valid request.
    assert!(exchange(&app, smuggled).await.ends_with("ok"));
}

/// ASVS 15.3.7
#[tokio::test]
async fn query_parameters_do_not_replace_form_fields() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let browser = app.browser();
    let query = format!("username=harry&password={PASSWORD}&next=/user/harry");
    let query = query.replace(' ', "+");
    let page = browser.post(&format!("/login?{query}"), &[]).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.value_of("username").as_deref(), Some(""));
    let fields = [("username", "harry"), ("password", PASSWORD)];
    let page = browser.post("/login?next=/user/harry", &fields).await;
    page.redirects_to("/home");
    // A form is not filled from the query either.
    let page = browser
        .get("/edit_profile?username=mallory&about_me=x")
        .await;
    assert_eq!(page.value_of("username").as_deref(), Some("harry"));
}

/// ASVS 4.1.3, 15.3.4
#[tokio::test]
async fn headers_about_the_client_address_are_ignored_without_a_trusted_proxy() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    for password in ["1", "2", "3", "4", "5", PASSWORD] {
        let browser = app.browser();
        let mut request = browser
            .request(Method::POST, "/login")
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("username=harry&password={password}"));
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.66"),
            ("x-real-ip", "203.0.113.66"),
            ("x-client-ip", "203.0.113.66"),
            ("cf-connecting-ip", "203.0.113.66"),
            ("true-client-ip", "203.0.113.66"),
            (
                "forwarded",
                "for=203.0.113.66;proto=https;host=evil.example",
            ),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-user-id", "1"),
        ] {
            request = request.header(name, value);
        }
        let page = browser.send(request).await;
        let is_secure = page.set_cookies().iter().any(|it| it.contains("Secure"));
        assert!(!is_secure, "{:?}", page.set_cookies());
    }
    let notice = only_notice(&app, "harry").await;
    assert_eq!(notice.address.as_deref(), Some("127.0.0.1"));
    let local = "SELECT COUNT(*) FROM activity WHERE address = '127.0.0.1'";
    let all = app.count("SELECT COUNT(*) FROM activity").await;
    assert!(all > 0 && app.count(local).await == all);
}

/// ASVS 1.4.2
#[tokio::test]
async fn huge_numbers_cause_no_server_error() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    for number in [
        "99999999999999999999",
        "-9223372036854775809",
        "1e400",
        "NaN",
    ] {
        for path in [
            "/user",
            "/sessions",
            "/dev/mailbox",
            "/reset_password",
            "/login?next=",
        ] {
            let path = format!("{path}/{number}");
            let page = harry.get(&path).await;
            assert!(page.status < 500, "{path}: {}", page.status);
        }
        for path in [
            format!("/sessions/{number}/revoke"),
            format!("/not_me/{number}"),
        ] {
            let page = harry.post(&path, &[("id", number)]).await;
            assert!(page.status < 500, "POST {path}: {}", page.status);
        }
        assert_eq!(harry.enable(number).await.status, 422, "{number}");
        let verify = app.browser().verify(number).await;
        verify.redirects_to("/login?next=%2Fhome");
    }
}

/// ASVS 1.3.3, 1.3.6
#[tokio::test]
async fn an_invalid_phone_number_causes_no_outgoing_request() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    for typed in [
        "+254720227267&Channel=call",
        "+254720227267%26Channel=call",
        "+254720227267\r\nTo: +254720227268",
        "../Verifications",
        "+254720227267/../../Accounts",
        "http://169.254.169.254/latest/meta-data",
        "https://evil.example/+254720227267",
        "//evil.example",
        "@evil.example",
        "file:///etc/passwd",
    ] {
        let page = harry.enable(typed).await;
        assert_eq!(page.status, 422, "{typed}");
    }
    assert_eq!(app.phone().counters(), Counters::default());
}

/// ASVS 1.3.11
#[tokio::test]
async fn an_email_with_a_line_break_is_refused_by_every_form() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    for typed in [
        "alice@example.com\r\nBcc: mallory@example.com",
        "alice@example.com\nBcc: mallory@example.com",
        "alice@example.com\0",
        "alice@example.com\r\n\r\nHello",
        "\"alice\r\nBcc: mallory\"@example.com",
    ] {
        let guest = app.browser();
        let page = guest.register("bob", typed, PASSWORD).await;
        assert_eq!(page.status, 422, "{typed:?}");
        let fields = [("email", typed)];
        let page = guest.post("/reset_password_request", &fields).await;
        assert_eq!(page.status, 422, "{typed:?}");
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM outbox").await, 0);
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 1);
}
