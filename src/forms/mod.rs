//! Forms: raw fields become parsed values or errors by field. Forms don't use the database:
//! its constraints report a taken username.

pub mod auth;
pub mod authenticator;
pub mod email;
pub mod local_path;
pub mod not_me;
pub mod password;
pub mod phone_number;
pub mod profile;
pub mod recovery_codes;
pub mod two_factor;
pub mod username;

use std::borrow::Cow;

/// Whether a checkbox is on: any value but those that mean no.
fn is_checked(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    !["", "0", "false", "n", "off"].contains(&value.as_str())
}

/// The errors of a form: at most one sentence per field, in the order of the page.
#[derive(Debug, Default, Clone)]
pub struct Errors(Vec<(&'static str, Cow<'static, str>)>);

impl Errors {
    pub fn one(field: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        let mut errors = Self::default();
        errors.add(field, sentence);
        errors
    }

    /// Adds an error, unless the field already has one.
    pub fn add(&mut self, field: &'static str, sentence: impl Into<Cow<'static, str>>) {
        if self.get(field).is_none() {
            self.0.push((field, sentence.into()));
        }
    }

    /// Returns a parsed field, or adds its error.
    pub fn take<T>(
        &mut self,
        field: &'static str,
        parsed: Result<T, Cow<'static, str>>,
    ) -> Option<T> {
        parsed.map_err(|sentence| self.add(field, sentence)).ok()
    }

    pub fn get(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, sentence)| sentence.as_ref())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .iter()
            .map(|(field, sentence)| (*field, sentence.as_ref()))
    }
}
