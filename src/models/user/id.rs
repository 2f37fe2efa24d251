//! The id of an account. It has its own module because [`super`] imports models that need it.

#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(String);

impl UserId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::models) fn from_column(id: String) -> Self {
        Self(id)
    }
}
