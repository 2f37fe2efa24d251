//! Checking the code of a challenge, and consuming the challenge.

use secrecy::SecretString;

use crate::models::challenge::{Challenge, Outcome, Purpose, unfinished};
use crate::models::rate_limit::{
    CHALLENGE_LIFE, CHECKS_OF_CHALLENGE, CodeRequest, RateLimitExceeded, WRONG_CODES,
    refund_login_sends, take,
};
use crate::models::{Connection, Database, Error, Result, sms_days};
use crate::services::twilio_verify::{CheckError, TwilioVerify, Verdict};

/// Why a code was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The code is wrong, and another attempt is left.
    #[error("wrong code")]
    Wrong,
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
            Self::Wrong | Self::Exhausted => "wrong",
            Self::TooMany(_) => "limited",
            Self::Gone | Self::CodeExpired { .. } => "expired",
            Self::Unavailable { .. } => "unavailable",
            Self::Other(_) => "failed",
        }
    }
}

impl Challenge {
    /// Asks Twilio whether the code is right. One statement permits and counts the attempt
    /// before the request to Twilio, so parallel requests never get more than
    /// [`CHECKS_OF_CHALLENGE`] answers. [`Challenge::consume`] consumes the challenge later, in
    /// the transaction of its purpose.
    pub async fn check(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        code: &SecretString,
        now: i64,
    ) -> Result<(), Refused> {
        if self.sends == 0 {
            return Err(Refused::CodeExpired { last: false }); // no code was sent
        }
        let checks = self.count_check(database, now).await?;
        let (service, sid) = (self.purpose.service(), self.provider_sid.as_deref());
        let answer = verify.check(service, &self.phone, sid, code).await;
        let last = checks >= CHECKS_OF_CHALLENGE;
        let refused = match answer {
            Ok(Verdict::Approved) => return Ok(()),
            Ok(Verdict::Wrong) if last => Refused::Exhausted,
            Ok(Verdict::Wrong) => Refused::Wrong,
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

    /// Counts a check for the challenge and the account. Returns the challenge's count.
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
        let checks = checks.ok_or(Refused::Gone)?;
        let buckets = WRONG_CODES.buckets(self.user_id.as_str());
        take(&mut transaction, &buckets, now).await??;
        transaction.commit().await.map_err(Error::from)?;
        Ok(checks)
    }

    /// Consumes the challenge in the caller's transaction. Returns whether it was open: of
    /// parallel calls, one returns true.
    pub async fn consume(&self, connection: &mut Connection, now: i64) -> Result<bool> {
        self.close_with(connection, Outcome::Approved, now).await
    }

    /// The same for a recovery code. It also refunds the sends of the account's logins.
    pub async fn recover(&self, connection: &mut Connection, now: i64) -> Result<bool> {
        if !self.close_with(connection, Outcome::Recovered, now).await? {
            return Ok(false);
        }
        refund_login_sends(connection, &self.user_id, now).await?;
        Ok(true)
    }

    async fn close_with(
        &self,
        connection: &mut Connection,
        outcome: Outcome,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE challenges
              SET closed_at = $1, outcome = $2
              WHERE id = $3 AND closed_at IS NULL AND expires_at > $1",
        )
        .bind(now)
        .bind(outcome.as_ref())
        .bind(self.id.as_str())
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let request = CodeRequest {
            user: &self.user_id,
            phone: &self.phone,
            is_adding: self.purpose == Purpose::Enable,
            is_new_number: false, // the limits of new numbers are not refunded
        };
        let (sends, opened_at) = (self.sends, self.expires_at - CHALLENGE_LIFE);
        request
            .refund_verified(connection, sends, opened_at, now)
            .await?;
        unfinished::withdraw(connection, &self.id, &self.user_id, now).await?;
        if outcome == Outcome::Approved {
            let sent_at = self.last_sent_at.unwrap_or(now);
            sms_days::record_entered(connection, self.country.as_deref(), sent_at).await?;
        }
        Ok(true)
    }
}
