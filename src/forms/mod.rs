//! Raw fields to parsed values, or errors by field. No database: what only the
//! database can tell (a name is taken) comes back from its constraints.

pub mod auth;
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

/// What is wrong with a form: at most one sentence a field, in the order in
/// which the fields stand on the page.
#[derive(Debug, Default, Clone)]
pub struct Errors(Vec<(&'static str, Cow<'static, str>)>);

impl Errors {
    /// Errors with one entry.
    pub fn one(field: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        let mut errors = Self::default();
        errors.add(field, sentence);
        errors
    }

    /// Adds a sentence to a field; the first one said of a field stands.
    pub fn add(&mut self, field: &'static str, sentence: impl Into<Cow<'static, str>>) {
        if self.get(field).is_none() {
            self.0.push((field, sentence.into()));
        }
    }

    /// What a field came to, or its sentence added.
    pub fn take<T>(
        &mut self,
        field: &'static str,
        parsed: Result<T, Cow<'static, str>>,
    ) -> Option<T> {
        parsed.map_err(|sentence| self.add(field, sentence)).ok()
    }

    /// The sentence for a field, if there is one.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, sentence)| sentence.as_ref())
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every field with its sentence.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .iter()
            .map(|(field, sentence)| (*field, sentence.as_ref()))
    }
}
