//! Accepted usernames, email addresses and codes are accepted again in their stored form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;
use serde_json::json;
use twostep::forms::local_path::LocalPath;
use twostep::forms::two_factor::VerifyForm;
use twostep::forms::{email, username};
use twostep::models::factor::RecoveryCode;

fuzz_target!(|text: &str| {
    if let Ok(name) = username::parse(text) {
        assert_eq!(username::parse(&name).as_ref(), Ok(&name));
        assert!(LocalPath::parse(&format!("/user/{name}")).is_some());
    }
    if let Ok(address) = email::parse(text) {
        assert_eq!(email::parse(&address).as_ref(), Ok(&address));
        assert!(email::is_plausible(&address));
    }
    if let Some(code) = RecoveryCode::parse(text) {
        let shown = code.grouped();
        let again = RecoveryCode::parse(shown.expose_secret()).unwrap();
        assert_eq!(again.grouped().expose_secret(), shown.expose_secret());
    }
    let form: VerifyForm = serde_json::from_value(json!({ "token": text })).unwrap();
    if let Some(code) = form.code() {
        let code = code.expose_secret();
        assert!((4..=10).contains(&code.len()) && code.bytes().all(|it| it.is_ascii_digit()));
    }
});
