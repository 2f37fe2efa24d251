//! Properties of form fields.

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use proptest::sample::select;
use regex::Regex;
use secrecy::ExposeSecret;
use serde_json::json;
use twostep::forms::local_path::LocalPath;
use twostep::forms::phone_number::{PhoneNumber, country_of};
use twostep::forms::recovery_codes::RecoveryForm;
use twostep::forms::two_factor::VerifyForm;
use twostep::forms::{email, username};
use twostep::models::factor::RecoveryCode;
use twostep::session::redirects::with_next;
use url::Url;

use super::config;

/// Any text, or a text of these parts.
fn text_of(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let built = prop::collection::vec(select(parts), 0..9).prop_map(|parts| parts.concat());
    prop_oneof![4 => built, 1 => any::<String>()]
}

const OF_PATHS: &[&str] = &[
    "/", "/", "/", "//", "\\", ".", "..", "%2e", "%2F", "%5c", "%09", "%0d", "%", "%25", "home",
    "logout", "a", "?", "#", "@", ":", ";", "&", "=", "next=", "x.test", "http:", "\t", "\n", " ",
    "\0", "\u{e9}", "\u{2028}", "\u{ff0f}",
];

const OF_ADDRESSES: &[&str] = &[
    "@", "@", "harry", "x.test", ".", "..", "-", "_", "+", "\"", "(", ")", "<", ">", ",", ";", " ",
    "\r\n", "Bcc:", "[::1]", "\0", "\u{e9}", "xn--e1a", "%", "=?a?q?", "'",
];

/// Paths that resemble the logout page or another host.
fn path() -> impl Strategy<Value = String> {
    let way = select(&[
        "/",
        "/./",
        "/a/../",
        "/%2e/",
        "/a/b/.%2E/../",
        "/..",
        "/.",
        "/user/",
    ]);
    let end = select(&[
        "logout",
        "logout?x",
        "logout#x",
        "home",
        "/evil.example",
        "\\evil.example",
    ]);
    prop_oneof![
        3 => text_of(OF_PATHS),
        1 => (way, end).prop_map(|(way, end)| format!("{way}{end}")),
    ]
}

/// Numbers near valid ones, as people write them.
fn number() -> impl Strategy<Value = String> {
    let code = select(&[
        "254720", "1202555", "491512", "447400", "39055", "44(0)20", "225", "55 43", "7", "883",
        "25006", "37080", "8816", "1900", "227",
    ]);
    let written = (code, "[0-9 .()-]{3,14}").prop_map(|(code, rest)| format!("+{code}{rest}"));
    let any_code = "[0-9]{1,3}0{0,2}[0-9]{0,13}".prop_map(|rest| format!("+{rest}"));
    prop_oneof![4 => written, 2 => any_code, 1 => "[+0-9 ]{0,20}", 1 => any::<String>()]
}

proptest! {
    #![proptest_config(config(2000))]

    /// Attack 10.
    #[test]
    fn an_accepted_next_stays_on_this_site(text in path()) {
        let Some(path) = LocalPath::parse(&text) else { return Ok(()) };
        prop_assert_eq!(path.as_str(), &text);
        prop_assert!(reqwest::header::HeaderValue::from_str(&text).is_ok());
        // From any page, and even if it is decoded once too often.
        let decoded = percent_decode_str(&text).decode_utf8_lossy();
        for here in ["https://here.example", "http://user@here.example:8443/a/b/?c#d"] {
            let here = Url::parse(here).unwrap();
            let there = here.join(&text).unwrap();
            prop_assert_eq!(there.origin(), here.origin());
            prop_assert_ne!(there.path(), "/logout");
            prop_assert!(!there.path().contains("//"));
            prop_assert_eq!(here.join(&decoded).unwrap().origin(), here.origin());
        }
        // It survives as a parameter of the login page.
        let login = format!("http://here.example{}", with_next("/login", &path));
        let found: Vec<_> = Url::parse(&login).unwrap().query_pairs().into_owned().collect();
        prop_assert_eq!(found, [("next".to_owned(), text)]);
    }

    #[test]
    fn an_accepted_username_is_a_path_segment_and_is_accepted_again(
        typed in prop_oneof![
            "[ \t]{0,2}[A-Za-z0-9._-]{1,33}[ \n]{0,2}",
            "(admin|root|twostep|no-reply|[a-z.-]{0,3}support[._-]{0,2})",
            any::<String>(),
        ],
    ) {
        let Ok(name) = username::parse(&typed) else { return Ok(()) };
        prop_assert_eq!(&name, typed.trim());
        let form = Regex::new(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,30}[A-Za-z0-9]\z").unwrap();
        prop_assert!(form.is_match(&name));
        for name in [name.clone(), name.to_uppercase(), name.to_lowercase()] {
            let again = username::parse(&name);
            prop_assert_eq!(again.as_ref(), Ok(&name));
            let path = format!("/user/{name}");
            prop_assert!(LocalPath::parse(&path).is_some());
            let url = Url::parse("http://here.example").unwrap().join(&path).unwrap();
            prop_assert_eq!(url.path(), path);
        }
    }

    #[test]
    fn an_accepted_email_is_one_line_and_is_accepted_again(typed in text_of(OF_ADDRESSES)) {
        let Ok(address) = email::parse(&typed) else { return Ok(()) };
        let again = email::parse(&address);
        prop_assert_eq!(again.as_ref(), Ok(&address));
        prop_assert!(email::is_plausible(&address));
        prop_assert!(!address.contains(|c: char| c.is_control() || c.is_whitespace()));
        let mailbox: lettre::Address = address.parse().unwrap();
        prop_assert_eq!(mailbox.to_string(), address);
    }

    #[test]
    fn a_code_is_the_input_without_spaces_and_dashes(
        typed in prop_oneof!["[0-9 \t-]{0,16}", "[0-9]{3,11}", any::<String>()],
    ) {
        let form: VerifyForm = serde_json::from_value(json!({ "token": typed })).unwrap();
        let kept: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let digits = kept.bytes().all(|byte| byte.is_ascii_digit());
        let expected = (digits && (4..=10).contains(&kept.len())).then_some(kept);
        prop_assert_eq!(form.code().map(|it| it.expose_secret().to_owned()), expected);
    }

    #[test]
    fn a_recovery_code_is_accepted_in_any_notation(
        symbols in prop::collection::vec(select(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".as_slice()), 24),
        noise in prop::collection::vec(select(&["", "", " ", "-", "\t", "\u{2013}", "\u{a0}"]), 24),
        lower in any::<u32>(),
    ) {
        let mut typed = String::new();
        for (at, (symbol, noise)) in symbols.iter().zip(noise).enumerate() {
            let symbol = char::from(*symbol);
            let alike = match symbol { '0' => 'O', '1' => 'L', other => other };
            let written = if lower >> at & 1 == 1 { alike.to_ascii_lowercase() } else { symbol };
            typed.push_str(noise);
            typed.push(written);
        }
        let read = read_code(&typed);
        let canonical = String::from_utf8(symbols).unwrap();
        prop_assert_eq!(read.map(|it| it.replace('-', "")), Some(canonical));
    }

    #[test]
    fn an_accepted_recovery_code_is_accepted_again(
        typed in prop_oneof!["[0-9a-zA-Z -]{20,30}", any::<String>()],
    ) {
        let Some(code) = read_code(&typed) else { return Ok(()) };
        prop_assert_eq!(read_code(&code), Some(code));
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn an_accepted_number_is_e164_and_is_accepted_again(typed in number(), noise in "[ .()-]{0,3}") {
        let Ok(number) = PhoneNumber::parse(&typed) else { return Ok(()) };
        let digits = number.as_str().strip_prefix('+').unwrap();
        prop_assert!((2..=15).contains(&digits.len()) && !digits.starts_with('0'));
        prop_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        // Twilio receives this form, and the database keeps it.
        prop_assert!(PhoneNumber::parse(number.as_str()).as_ref() == Ok(&number));
        prop_assert_eq!(country_of(number.as_str()), Some(number.country()));
        // With any spacing.
        let (begin, end) = digits.split_at(digits.len() / 2);
        let spaced = format!(" +{begin}{noise}{end} ");
        prop_assert!(PhoneNumber::parse(&spaced).as_ref() == Ok(&number));
        // It contains only typed digits, without the national prefix.
        let kept: String = typed.chars().filter(char::is_ascii_digit).collect();
        prop_assert!(kept.len() >= digits.len() && kept.ends_with(&digits[4..]));
    }
}

fn read_code(typed: &str) -> Option<String> {
    let form = json!({ "recovery_code": typed });
    let form: RecoveryForm = serde_json::from_value(form).unwrap();
    let code: Option<RecoveryCode> = form.code();
    code.map(|code| code.grouped().expose_secret().to_owned())
}
