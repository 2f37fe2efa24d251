//! Checking the code of a challenge.

use secrecy::SecretString;

use crate::models::challenge::{Challenge, Outcome};
use crate::models::factor::{RecoveryCode, UsedStep, Verification};
use crate::models::rate_limit::{
    Attempt, CHECKS_OF_CHALLENGE, RateLimitExceeded, WRONG_CODES, take,
};
use crate::models::{Database, Error, Result};
use crate::services::sealing::SecretKeys;
use crate::services::twilio_verify::{CheckError, TwilioVerify, Verdict};

/// A right code of any kind, which completes a challenge once.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// A code that Twilio approved.
    Phone,
    /// An app's code.
    Authenticator(&'a UsedStep),
    /// A recovery code, and the attempt to refund when it is consumed.
    RecoveryCode(&'a RecoveryCode, &'a Attempt),
}

/// A right code.
pub enum Checked {
    Phone,
    Authenticator(UsedStep),
}

impl Checked {
    pub const fn proof(&self) -> Proof<'_> {
        match self {
            Self::Phone => Proof::Phone,
            Self::Authenticator(step) => Proof::Authenticator(step),
        }
    }
}

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

/// No code was sent, or other challenges have used it.
const NO_CODE: Refused = Refused::CodeExpired { last: false };

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
    /// Checks a code of the factor in use. One transaction permits and counts the attempt before
    /// the code is compared, so parallel requests never get more than [`CHECKS_OF_CHALLENGE`]
    /// answers, neither in this challenge nor in all that share its verification.
    /// [`Challenge::complete`] consumes the challenge later.
    pub async fn check(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        keys: Option<&SecretKeys>,
        code: &SecretString,
        now: i64,
    ) -> Result<Checked, Refused> {
        let app = self.factor.as_ref().filter(|it| it.is_app());
        let verification = match app {
            Some(_) => None,
            None => match self.open_verification(now) {
                Some(verification) => Some(verification),
                // Another request may just have used up both.
                None => match Self::find_open(database, &self.id, now).await? {
                    Some(_) => return Err(NO_CODE),
                    None => return Err(Refused::Gone),
                },
            },
        };
        let left = CHECKS_OF_CHALLENGE - self.count_check(database, verification, now).await?;
        let last = left <= 0;
        let right = match (app, verification) {
            (Some(app), _) => {
                let keys = keys.ok_or(Refused::Unavailable { last })?;
                app.check_code(keys, code, now)?.map(Checked::Authenticator)
            }
            (None, Some(verification)) => match verification.check(verify, code).await {
                Ok(Verdict::Approved) => Some(Checked::Phone),
                Ok(Verdict::Wrong) => None,
                Err(CheckError::TooManyWrong) => return self.exhaust(database, verify, now).await,
                Err(CheckError::Expired) => return Err(Refused::CodeExpired { last }),
                Err(CheckError::Unavailable) => return Err(Refused::Unavailable { last }),
            },
            (None, None) => return Err(NO_CODE),
        };
        match right {
            Some(right) => Ok(right),
            None if last => self.exhaust(database, verify, now).await,
            None => Err(Refused::Wrong { left }),
        }
    }

    /// Closes the challenge after its last wrong code. If the last check gets no answer, the
    /// challenge stays open, since a parallel one may still be approved. The count permits no
    /// further checks either way.
    async fn exhaust(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        now: i64,
    ) -> Result<Checked, Refused> {
        self.close(database, verify, Outcome::Exhausted, now)
            .await?;
        Err(Refused::Exhausted)
    }

    /// Counts a check for the challenge, its verification and the account. Returns the higher of
    /// the first two counts.
    async fn count_check(
        &self,
        database: &Database,
        verification: Option<&Verification>,
        now: i64,
    ) -> Result<i64, Refused> {
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
        if let Some(verification) = verification {
            let shared = verification.count_check(&mut transaction, now).await?;
            checks = checks.max(shared.ok_or(NO_CODE)?);
        }
        let buckets = WRONG_CODES.buckets(self.user_id.as_str());
        take(&mut transaction, &buckets, now).await??;
        transaction.commit().await.map_err(Error::from)?;
        Ok(checks)
    }
}
