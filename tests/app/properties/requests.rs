//! Properties of headers, bodies and Twilio's responses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use regex::Regex;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use twostep::middleware::{client_address::client_address, cookie};
use twostep::services::twilio_verify::{
    SendError, Verification, error_code, is_verification_sid, refusal,
};
use twostep::views::browser;

use super::config;
use crate::support::TestApp;

/// Bytes of a header, except the separator of cookies.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![0x20_u8..0x3b, 0x3c_u8..0x7f, 0x80_u8..=0xff];
    let like_ours = select(&[
        "session",
        "Session=x",
        "session =x",
        "%73ession=x",
        "=x",
        "xsession=x",
    ]);
    prop_oneof![
        prop::collection::vec(byte, 0..12),
        like_ours.prop_map(|it| it.as_bytes().to_vec()),
    ]
}

/// An address, and whether it is a trusted proxy.
fn hop() -> impl Strategy<Value = (IpAddr, bool)> {
    let address = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits | 0x8000_0000))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits | 1 << 127))),
    ];
    let ours = any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c]));
    prop_oneof![
        address.prop_map(|it| (it, false)),
        ours.prop_map(|it| (it, true))
    ]
}

/// The hop as proxies write it.
fn written(address: IpAddr, how: u8) -> String {
    match (how % 3, address) {
        (0, IpAddr::V4(v4)) => format!("{v4}:4711"),
        (0, IpAddr::V6(v6)) => format!("[{v6}]:4711"),
        (1, IpAddr::V4(v4)) => v4.to_ipv6_mapped().to_string(),
        _ => address.to_string(),
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_cookie_is_found_among_others_unless_its_name_occurs_twice(
        before in prop::collection::vec(junk(), 0..4),
        after in prop::collection::vec(junk(), 0..4),
        token in "[A-Za-z0-9_-]{1,43}",
        lines in any::<bool>(),
        times in 0..3_usize,
    ) {
        // A random cookie with exactly our name counts as ours.
        let ours = |it: &Vec<u8>| it.trim_ascii().starts_with(b"session=");
        prop_assume!(!before.iter().chain(&after).any(ours));
        let own = vec![format!("session={token}").into_bytes(); times];
        let pairs = [before, own, after].concat();
        let mut headers = HeaderMap::new();
        if lines {
            for pair in &pairs {
                headers.append(COOKIE, HeaderValue::from_bytes(pair).unwrap());
            }
        } else {
            headers.insert(COOKIE, HeaderValue::from_bytes(&pairs.join(&b"; "[..])).unwrap());
        }
        let expected = (times == 1).then_some(token.as_str());
        prop_assert_eq!(cookie::value(&headers, "session"), expected);
    }

    /// Attack 16.
    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy(
        peer in hop(),
        hops in prop::collection::vec((hop(), any::<u8>()), 0..5),
        invented in "[ -~]{0,30}",
        lines in any::<bool>(),
    ) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut chain: Vec<String> = hops.iter().map(|((it, _), how)| written(*it, *how)).collect();
        let mut all: Vec<(IpAddr, bool)> = hops.into_iter().map(|(hop, _)| hop).collect();
        all.push(peer);
        let outermost = all.iter().rev().find(|(_, ours)| !ours);
        if outermost.is_some() {
            chain.insert(0, invented);
        }
        let mut headers = HeaderMap::new();
        if lines {
            for hop in &chain {
                headers.append("x-forwarded-for", hop.parse().unwrap());
            }
        } else {
            headers.insert("x-forwarded-for", chain.join(", ").parse().unwrap());
        }
        // If all are trusted, the client is the first.
        let expected = outermost.or(all.first()).unwrap().0.to_canonical();
        prop_assert_eq!(client_address(peer.0, &headers, &trusted), expected);
    }

    /// Attack 15.
    #[test]
    fn a_browser_name_has_only_letters_and_spaces(
        parts in prop::collection::vec(
            prop_oneof![
                select(&[
                    "Mozilla/5.0", "(X11; Linux x86_64;", "rv:140.0)", "Firefox/140.0", "Safari/",
                    "Chrome/", "https://evil.example", "www.evil.example", "Windows NT 10.0", "BSD ",
                    "a@evil.example", "Edg/", "OPT/", "Version/", "KDDI-", "DoCoMo/2.0 ", "PlayStation",
                    "Nintendo", "SoftBank/", "bot;", "MSIE ", ";", "(", ")", "compatible", "Lynx/",
                ]).prop_map(str::to_owned),
                any::<String>(),
            ],
            0..8,
        ),
        between in select(&["", " ", "; "]),
    ) {
        let words = browser::describe(&parts.join(between));
        prop_assert!(words.bytes().all(|it| it.is_ascii_alphabetic() || it == b' '), "{}", words);
        prop_assert!((4..60).contains(&words.len()), "{}", words);
    }

    /// Attack 20.
    #[test]
    fn a_twilio_response_is_read_as_its_json_or_rejected(
        fields in prop::collection::vec(
            (
                select(&["sid", "to", "status", "code", "valid"]),
                prop_oneof![
                    any::<String>().prop_map(Value::from),
                    any::<i64>().prop_map(Value::from),
                    Just(json!("approved")), Just(json!(null)), Just(json!(true)),
                    Just(json!(1.5)), Just(json!(["approved"])), Just(json!({ "a": 1 })),
                ],
            ),
            0..6,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let value = Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        let body = value.to_string();
        let text = |name: &str| value[name].as_str();
        match Verification::read(body.as_bytes()) {
            Some(it) => {
                let read = (it.sid.as_str(), it.to.as_str(), it.status.as_str());
                let sent = (text("sid"), text("to"), text("status"));
                prop_assert_eq!((Some(read.0), Some(read.1), Some(read.2)), sent);
            }
            None => prop_assert!([text("sid"), text("to"), text("status")].contains(&None)),
        }
        prop_assert_eq!(error_code(body.as_bytes()), value["code"].as_i64());
        // A truncated response is rejected.
        let part = &body.as_bytes()[..cut.index(body.len())];
        prop_assert!(Verification::read(part).is_none() && error_code(part).is_none());
    }

    #[test]
    fn an_accepted_sid_is_a_single_path_segment(
        text in prop_oneof!["VE[0-9a-fA-F]{31,33}", "V[EA][0-9a-g/.]{32}", any::<String>()],
    ) {
        let pattern = Regex::new(r"\AVE[0-9a-fA-F]{32}\z").unwrap();
        prop_assert_eq!(is_verification_sid(&text), pattern.is_match(&text));
    }

    /// Attack 12: a call would pay a blocked attacker.
    #[test]
    fn a_send_that_twilio_blocked_or_limited_is_not_followed_by_a_call(
        status in 300..600_u16,
        code in select(&[60202, 60203, 60212, 20429, 60238, 60410, 60605, 21408]),
        any_code in any::<Option<i64>>(),
    ) {
        prop_assert_ne!(refusal(status, Some(code)), SendError::Failed);
        prop_assert_ne!(refusal(429, any_code), SendError::Failed);
    }
}

/// Bodies that resemble forms.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let part = select(&[
        "username", "password", "email", "next", "token", "=", "=", "&", "&", "+", "%", "%f",
        "%ff", "%00", "%0d%0a", "%c3%a9", "%f0%9f", "[]", "\0", ";", "a", "/home", "a@x.test",
        "<script>", "\u{202e}",
    ]);
    let built = prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![2 => built, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// ASVS 15.2.2
#[test]
fn any_body_gets_a_page_and_never_a_server_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::start());
    let path = select(&["/login", "/register", "/reset_password_request", "/logout"]);
    let mut runner = TestRunner::new(config(150));
    let tried = runner.run(&(path, body()), |(path, body)| {
        let browser = app.browser();
        let request = browser
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let page = runtime.block_on(browser.send(request));
        app.advance(3600); // longer than every rate limit
        let expected = [303, 400, 422];
        prop_assert!(expected.contains(&page.status.into()), "{}", page.status);
        prop_assert!(page.status == 303 || page.first("h1").is_some());
        prop_assert!(!page.body.contains("<script>"));
        Ok(())
    });
    tried.unwrap();
    runtime.block_on(async { drop(app) });
}
