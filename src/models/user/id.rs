//! The id of an account, apart from [`super`], since the models that it imports need the id.

/// The id of an account.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(String);

impl UserId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::models) fn from_column(id: String) -> Self {
        Self(id)
    }
}
