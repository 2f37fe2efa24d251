//! Checking the code of a challenge.

use secrecy::SecretString;

use crate::models::challenge::{Challenge, Outcome};
use crate::models::rate_limit::{CHECKS_OF_CHALLENGE, RateLimitExceeded, WRONG_CODES, take};
use crate::models::{Database, Error, Result};
use crate::services::twilio_verify::{CheckError, TwilioVerify, Verdict};

/// Why a code was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The code is wrong, and this many other attempts are left.
    #[error("wrong code")]
    Wrong { left: i64 },
    /// The code is wrong, and no attempt is left here or at Twilio: the challenge is closed.
    #[error("wrong code, and the challenge is closed")]
    Exhausted,
    /// Too many wrong codes were entered for the account, in all sessions.
    #[error(transparent)]
    TooMany(#[from] RateLimitExceeded),
    /// The challenge expired, was consumed, closed or superseded.
    #[error("the challenge is gone")]
    Gone,
    /// Twilio no longer knows the code. The user may request another one.
    #[error("the code has expired")]
    CodeExpired {
        /// Whether that was the last attempt, so that another code would not help.
        last: bool,
    },
    /// Twilio did not answer. The attempt stays counted.
    #[error("the code could not be checked")]
    Unavailable {
        /// Whether that was the last attempt.
        last: bool,
    },
    #[error(transparent)]
    Other(#[from] Error),
}

impl Refused {
    /// The label in the metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Wrong { .. } | Self::Exhausted => "wrong",
            Self::TooMany(_) => "limited",
            Self::Gone | Self::CodeExpired { .. } => "expired",
            Self::Unavailable { .. } => "unavailable",
            Self::Other(_) => "failed",
        }
    }
}

impl Challenge {
    /// Checks a code. One transaction permits and counts the attempt before Twilio is asked, so
    /// parallel requests never get more than [`CHECKS_OF_CHALLENGE`] answers, neither in this
    /// challenge nor in all that share its verification. [`Challenge::complete`] consumes the
    /// challenge later.
    pub async fn check(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        code: &SecretString,
        now: i64,
    ) -> Result<(), Refused> {
        let Some(verification) = self.open_verification(now) else {
            return Err(Refused::CodeExpired { last: false }); // no code was sent
        };
        let left = CHECKS_OF_CHALLENGE - self.count_check(database, now).await?;
        let last = left <= 0;
        let refused = match verification.check(verify, code).await {
            Ok(Verdict::Approved) => return Ok(()),
            Ok(Verdict::Wrong) if last => Refused::Exhausted,
            Ok(Verdict::Wrong) => Refused::Wrong { left },
            Err(CheckError::TooManyWrong) => Refused::Exhausted,
            Err(CheckError::Expired) => Refused::CodeExpired { last },
            Err(CheckError::Unavailable) => Refused::Unavailable { last },
        };
        // Only a wrong code closes the challenge. If the last check gets no answer, a parallel
        // one may still be approved. The count permits no further checks either way.
        if matches!(refused, Refused::Exhausted) {
            let outcome = Outcome::Exhausted;
            self.close(database, verify, outcome, now).await?;
        }
        Err(refused)
    }

    /// Counts a check for the challenge, its verification and the account. Returns the higher of
    /// the first two counts.
    async fn count_check(&self, database: &Database, now: i64) -> Result<i64, Refused> {
        let mut transaction = database.begin().await.map_err(Error::from)?;
        let checks: Option<i64> = sqlx::query_scalar(
            r"UPDATE challenges
              SET checks = checks + 1
              WHERE id = $1 AND closed_at IS NULL AND expires_at > $2 AND checks < $3
              RETURNING checks",
        )
        .bind(self.id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::from)?;
        let mut checks = checks.ok_or(Refused::Gone)?;
        if let Some(verification) = &self.verification {
            let shared = verification.count_check(&mut transaction, now).await?;
            let expired = Refused::CodeExpired { last: false };
            checks = checks.max(shared.ok_or(expired)?);
        }
        let buckets = WRONG_CODES.buckets(self.user_id.as_str());
        take(&mut transaction, &buckets, now).await??;
        transaction.commit().await.map_err(Error::from)?;
        Ok(checks)
    }
}
