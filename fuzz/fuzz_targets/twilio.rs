//! A response of Twilio is read as in its JSON, or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use twostep::services::twilio_verify::{Verification, error_code, is_verification_sid};

fuzz_target!(|body: &[u8]| {
    let verification = Verification::read(body);
    let code = error_code(body);
    if verification.is_none() && code.is_none() {
        return;
    }
    let value: Value = serde_json::from_slice(body).unwrap();
    if let Some(code) = code {
        assert!(value["code"].as_i64() == Some(code) || value[0].as_i64() == Some(code));
    }
    if let Some(it) = verification {
        let same = |name: &str, at: usize, read: &str| {
            value[name].as_str() == Some(read) || value[at].as_str() == Some(read)
        };
        assert!(same("sid", 0, &it.sid) && same("to", 1, &it.to) && same("status", 2, &it.status));
        if is_verification_sid(&it.sid) {
            assert!(it.sid.len() == 34 && it.sid.is_ascii());
        }
    }
});
