//! The bare server to compare the app with: axum with one handler, which returns the same
//! bytes and as many headers.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::load::Answer;

/// Headers that hyper adds.
const ADDED: [&str; 2] = ["content-length", "date"];

/// Serves this answer at `path` in the background until the program ends.
pub fn serve(runtime: &Runtime, path: &str, answer: &Answer<'_>) -> SocketAddr {
    let status = StatusCode::from_u16(answer.status).expect("no status");
    let (headers, body) = (headers(answer), Bytes::copy_from_slice(answer.body));
    let handler = move || async move { (status, headers, body) };
    let app: Router = Router::new().route(path, any(handler));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("no port");
    listener.set_nonblocking(true).expect("no such option");
    let address = listener.local_addr().expect("no address");
    runtime.spawn(async {
        let listener = TcpListener::from_std(listener).expect("no listener");
        axum::serve(listener, app).await
    });
    address
}

fn headers(answer: &Answer<'_>) -> HeaderMap {
    let text = std::str::from_utf8(answer.head).expect("no text");
    let lines = text.lines().skip(1).filter_map(|it| it.split_once(": "));
    lines
        .filter(|(name, _)| !ADDED.contains(name))
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("no name");
            (name, HeaderValue::from_str(value).expect("no value"))
        })
        .collect()
}
