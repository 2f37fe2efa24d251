//! Enabling two-factor authentication, and entering a code.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::forms::is_checked;

/// `POST /enable_2fa`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EnableForm {
    pub verification_phone: String,
}

/// `POST /verify_2fa/use`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct UseFactorForm {
    pub factor: String,
}

/// `POST /verify_2fa`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct VerifyForm {
    token: SecretString,
    trust_device: String,
}

impl VerifyForm {
    /// The code of a form that wasn't parsed yet.
    pub fn read(body: &[u8]) -> Option<SecretString> {
        let mut fields = url::form_urlencoded::parse(body);
        let (_, token) = fields.find(|(name, _)| name == "token")?;
        let token = token.into_owned().into();
        let form = Self {
            token,
            ..Self::default()
        };
        form.code()
    }

    /// Whether later logins from this browser need no code.
    pub fn trust_device(&self) -> bool {
        is_checked(&self.trust_device)
    }

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
