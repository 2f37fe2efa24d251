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
pub struct Errors {
    sentences: Vec<(&'static str, Cow<'static, str>)>,
    wait: Option<i64>,
}

impl Errors {
    pub fn one(field: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        let mut errors = Self::default();
        errors.add(field, sentence);
        errors
    }

    /// Adds an error, unless the field already has one.
    pub fn add(&mut self, field: &'static str, sentence: impl Into<Cow<'static, str>>) {
        if self.get(field).is_none() {
            self.sentences.push((field, sentence.into()));
        }
    }

    /// The seconds that a sentence says the user must wait. The page counts them down.
    pub const fn with_wait(mut self, seconds: Option<i64>) -> Self {
        self.wait = seconds;
        self
    }

    pub const fn wait(&self) -> Option<i64> {
        self.wait
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
        self.sentences
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, sentence)| sentence.as_ref())
    }

    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.sentences
            .iter()
            .map(|(field, sentence)| (*field, sentence.as_ref()))
    }
}
