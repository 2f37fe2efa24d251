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

pub use strength::check_strength;

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
        let new = &self.password;
        check_fields(&mut errors, new, &self.confirm_password);
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
        let new = &self.password;
        check_fields(&mut errors, new, &self.confirm_password);
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
