//! Slow clients are disconnected, and delay no other client.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use twostep::dev::simulator::Failure;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::{connect_and_send, read_to_end};
use crate::support::{NOW, PATIENCE, PHONE, TWILIO_TIMEOUT, TestApp, TestDatabase};

/// The timeout under test.
const SHORT: Duration = Duration::from_millis(300);

/// A pause in which nothing should happen.
const PAUSE: Duration = Duration::from_millis(100);

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

const PING: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Timeouts without effect, of which each test shortens one.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits {
        header_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        ..Limits::default()
    };
    change(&mut limits);
    limits
}

/// Sends one byte at a time until the server closes the connection. Returns the response.
async fn drip(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    let dripping = async {
        let mut buffer = [0; 4096];
        loop {
            match timeout(PAUSE / 10, stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(read)) => response.extend_from_slice(&buffer[..read]),
                Err(_) => {
                    let _ = stream.write_all(b"a").await;
                }
            }
        }
    };
    let closed = timeout(PATIENCE, dripping).await;
    closed.expect("the connection stays open");
    String::from_utf8_lossy(&response).into_owned()
}

/// Reads the response to [`PING`].
async fn read_pong(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
    let read = read.expect("no response").unwrap();
    let response = String::from_utf8_lossy(&buffer[..read]);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nok"), "{response}");
}

/// Asserts that nothing comes for a moment. On a busy machine a fault may go unnoticed, but the
/// test never fails without one.
async fn assert_silent(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = timeout(PAUSE, stream.read(&mut buffer)).await;
    assert!(read.is_err(), "{read:?}");
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_connection_without_a_complete_head_is_closed_after_the_header_timeout() {
    let app = TestApp::with_limits(limits(|it| it.header_timeout = SHORT)).await;
    for is_reused in [false, true] {
        let mut clients = Vec::new();
        for head in ["G", "GET /login HTTP/1.1\r\n", "GET /login HTTP/1.1\r\nX: "] {
            let mut stream = connect_and_send(app.address, b"").await;
            if is_reused {
                stream.write_all(PING).await.unwrap();
                read_pong(&mut stream).await;
            }
            stream.write_all(head.as_bytes()).await.unwrap();
            clients.push(tokio::spawn(drip(stream)));
        }
        let mut idle = connect_and_send(app.address, if is_reused { PING } else { b"" }).await;
        if is_reused {
            read_pong(&mut idle).await;
        }
        assert_eq!(read_to_end(&mut idle).await, "", "reused: {is_reused}");
        assert_eq!(app.browser().get("/login").await.status, 200);
        for client in clients {
            assert_eq!(client.await.unwrap(), "", "reused: {is_reused}");
        }
    }
}

#[tokio::test]
async fn each_request_has_its_own_header_timeout() {
    let header_timeout = Duration::from_secs(2); // much longer than the pauses
    let app = TestApp::with_limits(limits(|it| it.header_timeout = header_timeout)).await;
    let mut stream = connect_and_send(app.address, b"").await;
    let started = Instant::now();
    while started.elapsed() < header_timeout + PAUSE {
        stream.write_all(&PING[..9]).await.unwrap();
        assert_silent(&mut stream).await;
        stream.write_all(&PING[9..]).await.unwrap();
        read_pong(&mut stream).await;
    }
}

#[tokio::test]
async fn a_response_may_take_longer_than_the_header_timeout() {
    let header_timeout = Duration::from_secs(1); // longer than any pause of the browser
    let limits = limits(|it| it.header_timeout = header_timeout);
    let (database, clock) = (TestDatabase::new().await, Clock::manual(NOW));
    let app = TestApp::on(database, &[], clock, header_timeout + SHORT, limits).await;
    let harry = app.register_and_log_in("harry").await;
    app.phone().fail_with(Some(Failure::Silence));
    harry.enable(PHONE).await.redirects_to("/verify_2fa");
}

/// ASVS 15.2.2
#[tokio::test]
async fn an_incomplete_body_is_408_after_the_body_timeout() {
    let app = TestApp::with_limits(limits(|it| it.body_timeout = SHORT)).await;
    let head = "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let mut clients = Vec::new();
    for rest in [
        "Content-Length: 9000\r\n\r\n",
        "Content-Length: 9000\r\n\r\nusername=harry&password=",
        "Transfer-Encoding: chunked\r\n\r\nff0\r\nusername=harry&password=",
    ] {
        let stream = connect_and_send(app.address, format!("{head}{rest}").as_bytes()).await;
        clients.push(tokio::spawn(drip(stream)));
    }
    assert_eq!(app.browser().get("/login").await.status, 200);
    for client in clients {
        let response = client.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
        let message = "arrive in time. Send it again.";
        assert!(response.contains(message), "{response}");
    }
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_after_the_write_timeout() {
    let app = TestApp::with_limits(limits(|it| it.write_timeout = SHORT)).await;
    let mut stream = connect_and_send(app.address, b"").await;
    let requesting = async {
        let requests = b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        while stream.write_all(&requests).await.is_ok() {}
    };
    let closed = timeout(PATIENCE, requesting).await;
    closed.expect("the connection stays open");
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_connection_over_the_limit_waits_until_another_one_ends() {
    let limits = limits(|it| it.connections = 3);
    let (database, metrics) = (TestDatabase::new().await, ("METRICS_ADDR", "127.0.0.1:0"));
    let clock = Clock::manual(NOW);
    let app = TestApp::on(database, &[metrics], clock, TWILIO_TIMEOUT, limits).await;
    for (address, limit, expected) in [
        (app.address, 3, b"HTTP/1.1 200"),
        (app.metrics.unwrap(), 8, b"HTTP/1.1 404"),
    ] {
        let (mut open, mut status) = (Vec::new(), [0; 12]);
        for _ in 0..limit {
            let mut stream = connect_and_send(address, PING).await;
            stream.read_exact(&mut status).await.unwrap();
            open.push(stream);
        }
        let mut waiting = connect_and_send(address, PING).await;
        assert_silent(&mut waiting).await;
        open.pop();
        let answered = timeout(PATIENCE, waiting.read_exact(&mut status)).await;
        answered.expect("no response").unwrap();
        assert_eq!(&status, expected, "{address}");
    }
}
