//! Entering a recovery code.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::models::factor::RecoveryCode;

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
