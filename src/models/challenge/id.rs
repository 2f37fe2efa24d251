//! What names a verification, apart from it so that others can name one.

/// What names a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeId(String);

impl ChallengeId {
    /// The id as the database holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ChallengeId {
    fn from(id: String) -> Self {
        Self(id)
    }
}
