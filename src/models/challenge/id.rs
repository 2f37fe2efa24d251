//! The id of a challenge, apart from [`super`], since sessions refer to it too.

#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct ChallengeId(String);

impl ChallengeId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ChallengeId {
    fn from(id: String) -> Self {
        Self(id)
    }
}
