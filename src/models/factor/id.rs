//! The id of a factor, apart from [`super`], since challenges refer to it too.

use crate::models::token::can_be_id;

/// The id of a factor, which forms and paths contain.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct FactorId(String);

impl FactorId {
    /// An id from a request, if its characters are valid.
    pub fn received(text: &str) -> Option<Self> {
        can_be_id(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FactorId {
    fn from(id: String) -> Self {
        Self(id)
    }
}
