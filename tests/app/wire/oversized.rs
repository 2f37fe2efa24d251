//! Requests that are larger than any that a browser sends here.

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::{connect_and_send, exchange, read_to_end, status};
use crate::support::TestApp;
use crate::support::program::Program;

const MEBIBYTE: usize = 1024 * 1024;

/// ASVS 15.2.2
#[tokio::test]
async fn a_head_over_16_kib_is_431() {
    let app = TestApp::start().await;
    for (size, expected) in [
        (16 * 1024, "200"),
        (16 * 1024 + 1, "431"),
        (MEBIBYTE, "431"),
    ] {
        for (start, end) in [
            ("GET /login?a=", " HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("GET /login HTTP/1.1\r\nHost: x\r\nCookie: ", "\r\n\r\n"),
        ] {
            let filler = "a".repeat(size - start.len() - end.len());
            let response = exchange(&app, &format!("{start}{filler}{end}")).await;
            assert_eq!(status(&response), expected, "{start}, {size}");
        }
    }
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// ASVS 15.2.2
#[tokio::test]
async fn more_than_a_hundred_headers_are_431() {
    let app = TestApp::start().await;
    for (count, expected) in [(100, "200"), (101, "431"), (2000, "431")] {
        let headers = "Host: x\r\n".to_owned() + "X: y\r\n".repeat(count - 1).as_str();
        let response = exchange(&app, &format!("GET /login HTTP/1.1\r\n{headers}\r\n")).await;
        assert_eq!(status(&response), expected, "{count}");
    }
}

/// The peak memory of a process, in bytes.
fn peak_memory(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

/// Sends a body of 100 MiB, or until the server stops reading. Returns the response.
async fn stream_body(program: std::net::SocketAddr, head: String, chunked: bool) -> String {
    let mut stream = connect_and_send(program, head.as_bytes()).await;
    let mut part = vec![b'a'; MEBIBYTE];
    if chunked {
        part = [format!("{MEBIBYTE:x}\r\n").as_bytes(), &part, b"\r\n"].concat();
    }
    for _ in 0..100 {
        if stream.write_all(&part).await.is_err() {
            break;
        }
    }
    read_to_end(&mut stream).await
}

/// ASVS 1.4.3, 15.2.2
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_100_mib_are_not_kept_in_memory() {
    let program = Program::start(&[]);
    assert_eq!(program.browser().get("/login").await.status, 200);
    let before = peak_memory(&program);
    let mut clients = JoinSet::new();
    for line in [
        "POST /login",
        "POST /healthz",
        "GET /login",
        "POST /nowhere",
    ] {
        for chunked in [true, false] {
            let length = match chunked {
                true => "Transfer-Encoding: chunked".to_owned(),
                false => format!("Content-Length: {}", 100 * MEBIBYTE),
            };
            let head = format!(
                "{line} HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n{length}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            );
            clients.spawn(stream_body(program.address, head, chunked));
        }
    }
    for response in clients.join_all().await {
        // A client that is cut off while sending may not receive the response.
        let expected = ["413", "405", "404", "200", "none"];
        assert!(expected.contains(&status(&response)), "{response}");
    }
    assert_eq!(program.browser().get("/login").await.status, 200);
    let more = peak_memory(&program) - before;
    assert!(more < 8 * MEBIBYTE, "{more} bytes");
}
