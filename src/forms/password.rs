//! The rules for passwords, and the forms that set one. There are no composition rules
//! (ASVS 6.2.5), only length and strength.
//!
//! The rules come in two steps. Length and confirmation cost nothing. The strength check
//! keeps a core busy for tens of milliseconds, so it runs on the hashing threads, and only
//! for a form that is valid otherwise.

mod strength;

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::forms::{Errors, email};

pub use strength::{Strength, check_strength};

/// The shortest (ASVS 6.2.1) and the longest password, in characters.
const MIN: usize = 8;
const MAX: usize = 128;

/// `POST /change_password`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ChangeForm {
    pub current_password: SecretString,
    password: SecretString,
    confirm_password: SecretString,
}

impl ChangeForm {
    /// Returns the new password, whose strength is still to be checked.
    pub fn validate(&self) -> Result<SecretString, Errors> {
        let mut errors = Errors::default();
        let (new, confirmed) = (&self.password, &self.confirm_password);
        check_fields(&mut errors, new, confirmed);
        if new.expose_secret() == self.current_password.expose_secret() {
            errors.add("password", "This is your current password");
        }
        errors.is_empty().then(|| new.clone()).ok_or(errors)
    }
}

/// `POST /reset_password_request`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetRequestForm {
    pub email: String,
}

impl ResetRequestForm {
    /// Returns the address to look for. A plausible one is enough: it gets the same answer as
    /// any other unknown address.
    pub fn parse(&self) -> Result<&str, Errors> {
        let address = self.email.trim();
        if email::is_plausible(address) {
            Ok(address)
        } else {
            Err(Errors::one("email", email::INVALID))
        }
    }
}

/// `POST /reset_password`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    password: SecretString,
    confirm_password: SecretString,
    link: Option<String>,
}

impl ResetForm {
    /// Whether the form's page may have been about this link. Programs may omit the field.
    pub fn may_be_about(&self, link: &str) -> bool {
        self.link.as_ref().is_none_or(|named| named == link)
    }

    /// Returns the new password, whose strength is still to be checked.
    pub fn validate(&self) -> Result<SecretString, Errors> {
        let mut errors = Errors::default();
        let (new, confirmed) = (&self.password, &self.confirm_password);
        check_fields(&mut errors, new, confirmed);
        errors.is_empty().then(|| new.clone()).ok_or(errors)
    }
}

/// Checks the fields `password` and `confirm_password` of any form, but not the strength.
pub fn check_fields(errors: &mut Errors, password: &SecretString, confirmed: &SecretString) {
    errors.take("password", check_length(password));
    if password.expose_secret() != confirmed.expose_secret() {
        errors.add("confirm_password", "The passwords do not match");
    }
}

fn check_length(password: &SecretString) -> Result<(), Cow<'static, str>> {
    let password = password.expose_secret();
    let length = password.chars().take(MAX + 1).count();
    if length < MIN {
        return Err(format!("Use at least {MIN} characters").into());
    }
    if length > MAX {
        return Err(format!("Use at most {MAX} characters").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_8_to_128_characters() {
        let check = |password: &str| check_length(&password.into()).map_err(Cow::into_owned);
        assert_eq!(check("xk7#qpz").unwrap_err(), "Use at least 8 characters");
        assert!(check("xk7#qpzw").is_ok());
        let long = "correct horse battery staple ".repeat(5);
        assert!(check(&long[..128]).is_ok());
        let error = check(&long[..129]).unwrap_err();
        assert_eq!(error, "Use at most 128 characters");
        let of_four_bytes: String = ('\u{1f400}'..).step_by(7).take(128).collect();
        assert!(check(&of_four_bytes).is_ok());
        assert!(check(&"\u{1f40e}".repeat(100_000)).is_err());
    }
}
