//! Entering a recovery code, and making a new set.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::models::factor::RecoveryCode;

/// The field `set` of `POST /recovery_codes`: the set that the page was about. A program may
/// leave it out, or send no form at all.
pub fn replaced_set(body: &[u8]) -> Option<String> {
    let mut fields = url::form_urlencoded::parse(body);
    let field = fields.find(|(name, _)| name == "set");
    field.map(|(_, value)| value.into_owned())
}

/// `POST /verify_2fa/recovery`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RecoveryForm {
    recovery_code: SecretString,
}

impl RecoveryForm {
    /// An empty field is not an attempt.
    pub fn is_empty(&self) -> bool {
        self.recovery_code.expose_secret().trim().is_empty()
    }

    /// The code, if the text has the form of one.
    pub fn code(&self) -> Option<RecoveryCode> {
        RecoveryCode::parse(self.recovery_code.expose_secret())
    }
}
