//! Enabling two-factor authentication, and entering a code.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// `POST /enable_2fa`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EnableForm {
    pub verification_phone: String,
}

/// `POST /verify_2fa`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct VerifyForm {
    token: SecretString,
}

impl VerifyForm {
    /// The code without spaces and dashes: 4 to 10 digits, the lengths that Twilio Verify
    /// supports. Anything else is `None` and isn't sent to Twilio.
    pub fn code(&self) -> Option<SecretString> {
        let code: String = self
            .token
            .expose_secret()
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .take(11)
            .collect();
        let valid = (4..=10).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_digit());
        valid.then(|| code.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(token: &str) -> Option<String> {
        let form = VerifyForm {
            token: token.into(),
        };
        form.code().map(|code| code.expose_secret().to_owned())
    }

    #[test]
    fn a_code_is_4_to_10_digits_without_spaces_and_dashes() {
        assert_eq!(code("1234").as_deref(), Some("1234"));
        assert_eq!(code("1234567890").as_deref(), Some("1234567890"));
        assert_eq!(code(" 123 456 ").as_deref(), Some("123456"));
        assert_eq!(code("123-456\n").as_deref(), Some("123456"));
        for token in [
            "",
            "123",
            "12345678901",
            "12345a",
            "\u{661}\u{662}\u{663}\u{664}",
            "+1234",
            "1234\0",
        ] {
            assert_eq!(code(token), None, "{token:?}");
        }
    }
}
