//! Adding an authenticator app.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::forms::Errors;
use crate::services::totp::TotpSecret;

/// The most characters of an app's name.
const MAX_NAME: usize = 40;

const DEFAULT_NAME: &str = "Authenticator app";

/// `POST /authenticator`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AuthenticatorForm {
    token: SecretString,
    pub name: String,
    /// The secret of the page, sealed.
    pub setup: SecretString,
}

impl AuthenticatorForm {
    /// The empty form with a new secret.
    pub fn new(setup: String) -> Self {
        Self {
            setup: setup.into(),
            ..Self::default()
        }
    }

    /// The time step of the code, and the app's name.
    pub fn parse(&self, secret: &TotpSecret, now: i64) -> Result<(i64, String), Errors> {
        let mut errors = Errors::default();
        let step = secret.check(&self.code(), now);
        if step.is_none() {
            errors.add("token", "Invalid token");
        }
        let name = self.name.trim();
        if name.chars().count() > MAX_NAME {
            errors.add("name", format!("Use at most {MAX_NAME} characters"));
        }
        if name.chars().any(char::is_control) {
            errors.add("name", "Remove the characters that can't be shown");
        }
        match step {
            Some(step) if errors.is_empty() => {
                let name = if name.is_empty() { DEFAULT_NAME } else { name };
                Ok((step, name.to_owned()))
            }
            _ => Err(errors),
        }
    }

    /// The code without spaces and dashes.
    fn code(&self) -> String {
        let token = self.token.expose_secret().chars();
        token
            .filter(|c| !c.is_whitespace() && *c != '-')
            .take(7)
            .collect()
    }
}
