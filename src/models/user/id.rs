//! What identifies an account, for models that an account's own imports.

/// What identifies an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserId(String);

impl UserId {
    /// The id as the database holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::models) fn from_column(id: String) -> Self {
        Self(id)
    }
}
