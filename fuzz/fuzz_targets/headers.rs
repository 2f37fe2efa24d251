//! Cookies, `X-Forwarded-For` and `User-Agent`.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use twostep::middleware::client_address::client_address;
use twostep::middleware::cookie;
use twostep::models::client::Client;
use twostep::views::browser;

#[derive(Arbitrary, Debug)]
struct Sent {
    peer: IpAddr,
    cookies: Vec<Vec<u8>>,
    forwarded: Vec<Vec<u8>>,
    user_agent: Vec<u8>,
}

fuzz_target!(|sent: Sent| {
    let mut headers = HeaderMap::new();
    let forwarded_for = HeaderName::from_static("x-forwarded-for");
    for (name, lines) in [
        (header::COOKIE, &sent.cookies),
        (forwarded_for, &sent.forwarded),
    ] {
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(&name, value);
            }
        }
    }
    if let Some(value) = cookie::value(&headers, "session") {
        assert!(!value.contains(';'));
    }
    let peer = sent.peer.to_canonical();
    assert_eq!(client_address(sent.peer, &headers, &[]), peer);
    let trusted: Vec<IpNet> = vec!["0.0.0.0/1".parse().unwrap(), "::/1".parse().unwrap()];
    let found = client_address(sent.peer, &headers, &trusted);
    let is_trusted = trusted.iter().any(|net| net.contains(&peer));
    assert!(is_trusted || found == peer);
    let client = Client::new(found, &sent.user_agent);
    assert!(client.user_agent.len() <= 200);
    let raw = String::from_utf8_lossy(&sent.user_agent);
    for user_agent in [raw.as_ref(), &client.user_agent] {
        let words = browser::describe(user_agent);
        assert!(
            words
                .bytes()
                .all(|it| it.is_ascii_alphabetic() || it == b' ')
        );
    }
});
