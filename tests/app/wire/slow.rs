//! Clients that take their time: they are given up, and hold up nobody meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use twostep::dev::simulator::Failure;
use twostep::server::Limits;

use super::{opened, rest};
use crate::support::{PATIENCE, PHONE, TestApp};

/// As long as a test of something that comes to an end waits for it.
const SHORT: Duration = Duration::from_millis(300);

/// A moment in which nothing is to happen.
const MOMENT: Duration = Duration::from_millis(100);

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

const PING: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Limits of which a test shortens the one that it is about.
fn patient() -> Limits {
    Limits {
        head: LONG,
        body: LONG,
        idle: LONG,
        answer: LONG,
        ..Limits::default()
    }
}

/// Sends a byte now and then until the server ends the connection, and returns what
/// it said.
async fn drip(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let dripping = async {
        let mut buffer = [0; 4096];
        loop {
            match timeout(MOMENT / 10, stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(read)) => said.extend_from_slice(&buffer[..read]),
                Err(_) => {
                    let _ = stream.write_all(b"a").await;
                }
            }
        }
    };
    let end = timeout(PATIENCE, dripping).await;
    end.expect("the connection is kept open");
    String::from_utf8_lossy(&said).into_owned()
}

async fn answered(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
    let read = read.expect("no answer").unwrap();
    let answer = String::from_utf8_lossy(&buffer[..read]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

/// Nothing comes. That nothing will, no event tells: this waits for real, and so briefly
/// that a busy machine may let a fault pass, never fail a test without one.
async fn is_silent(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = timeout(MOMENT, stream.read(&mut buffer)).await;
    assert!(read.is_err(), "{read:?}");
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let app = TestApp::with_limits(Limits {
        head: SHORT,
        ..patient()
    })
    .await;
    let mut clients = Vec::new();
    for begun in ["G", "GET /login HTTP/1.1\r\n", "GET /login HTTP/1.1\r\nX: "] {
        let stream = opened(app.address, begun.as_bytes()).await;
        clients.push(tokio::spawn(drip(stream)));
        let mut second = opened(app.address, PING).await;
        answered(&mut second).await;
        second.write_all(begun.as_bytes()).await.unwrap();
        clients.push(tokio::spawn(drip(second)));
    }
    assert_eq!(app.browser().get("/login").await.status, 200);
    for client in clients {
        assert_eq!(client.await.unwrap(), "");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let app = TestApp::with_limits(Limits {
        idle: SHORT,
        ..patient()
    })
    .await;
    let mut fresh = opened(app.address, b"").await;
    let mut used = opened(app.address, PING).await;
    answered(&mut used).await;
    assert_eq!(rest(&mut fresh).await, "");
    assert_eq!(rest(&mut used).await, "");
}

/// The timer of its first pause rings while it is used.
#[tokio::test]
async fn a_connection_that_is_used_again_and_again_is_kept() {
    let idle = Duration::from_secs(2); // much longer than the pauses, for a busy machine
    let app = TestApp::with_limits(Limits { idle, ..patient() }).await;
    let mut stream = opened(app.address, b"").await;
    let begun = Instant::now();
    while begun.elapsed() < idle + MOMENT {
        is_silent(&mut stream).await;
        stream.write_all(PING).await.unwrap();
        answered(&mut stream).await;
    }
}

/// Neither the head's time, nor what is left of it, is that of the next wait.
#[tokio::test]
async fn a_head_in_two_pieces_leaves_the_next_wait_its_time() {
    let head = Duration::from_secs(1); // much longer than the pause, for a busy machine
    let app = TestApp::with_limits(Limits { head, ..patient() }).await;
    let mut stream = opened(app.address, &PING[..9]).await;
    is_silent(&mut stream).await;
    stream.write_all(&PING[9..]).await.unwrap();
    answered(&mut stream).await;
    let begun = Instant::now();
    while begun.elapsed() < head + MOMENT {
        is_silent(&mut stream).await;
    }
    stream.write_all(PING).await.unwrap();
    answered(&mut stream).await;
}

#[tokio::test]
async fn a_connection_may_be_idle_longer_than_a_head_may_take() {
    let app = TestApp::with_limits(Limits {
        head: MOMENT / 2,
        ..patient()
    })
    .await;
    let mut stream = opened(app.address, b"").await;
    for _ in 0..3 {
        is_silent(&mut stream).await;
        stream.write_all(PING).await.unwrap();
        answered(&mut stream).await;
    }
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let app = TestApp::with_limits(Limits {
        head: MOMENT / 2,
        ..patient()
    })
    .await;
    let harry = app.signed_in("harry").await;
    app.phone().fail_with(Some(Failure::Silence)); // as long as the app waits for it
    harry.enable(PHONE).await.redirects_to("/verify_2fa");
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_body_that_does_not_end_is_408() {
    let app = TestApp::with_limits(Limits {
        body: SHORT,
        ..patient()
    })
    .await;
    let head = "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let mut clients = Vec::new();
    for begun in [
        "Content-Length: 9000\r\n\r\n",
        "Content-Length: 9000\r\n\r\nusername=harry&password=",
        "Transfer-Encoding: chunked\r\n\r\nff0\r\nusername=harry&password=",
    ] {
        let stream = opened(app.address, format!("{head}{begun}").as_bytes()).await;
        clients.push(tokio::spawn(drip(stream)));
    }
    assert_eq!(app.browser().get("/login").await.status, 200);
    for client in clients {
        let answer = client.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains("The form did not arrive in time."),
            "{answer}"
        );
    }
}

/// ASVS 15.2.2
#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let app = TestApp::with_limits(Limits {
        answer: SHORT,
        ..patient()
    })
    .await;
    let mut stream = opened(app.address, b"").await;
    let asking = async {
        let ask = b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        while stream.write_all(&ask).await.is_ok() {}
    };
    let end = timeout(PATIENCE, asking).await;
    end.expect("the connection is kept open");
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// They come from the same files that a program may have open.
#[tokio::test]
async fn the_metrics_have_eight_connections_and_one_more_waits_for_its_turn() {
    let app = TestApp::with(&[("METRICS_ADDR", "127.0.0.1:0")]).await;
    let (address, mut open) = (app.metrics.unwrap(), Vec::new());
    let mut answer = [0; 12];
    for _ in 0..8 {
        let mut stream = opened(address, PING).await;
        stream.read_exact(&mut answer).await.unwrap();
        open.push(stream);
    }
    let mut waiting = opened(address, PING).await;
    is_silent(&mut waiting).await;
    open.pop();
    let answered = timeout(PATIENCE, waiting.read_exact(&mut answer)).await;
    answered.expect("no answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

/// ASVS 15.2.2
#[tokio::test]
async fn so_many_connections_are_open_and_one_more_waits_for_its_turn() {
    let app = TestApp::with_limits(Limits {
        connections: 3,
        ..patient()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = opened(app.address, PING).await;
        answered(&mut stream).await;
        open.push(stream);
    }
    let mut waiting = opened(app.address, PING).await;
    is_silent(&mut waiting).await;
    for stream in &mut open {
        stream.write_all(PING).await.unwrap();
        answered(stream).await;
    }
    open.pop();
    answered(&mut waiting).await;
}
