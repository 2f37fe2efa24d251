//! Checking the code of a challenge, and consuming the challenge.

use secrecy::SecretString;

use crate::models::challenge::{Challenge, Outcome, Purpose, unfinished};
use crate::models::rate_limit::{
    CHALLENGE_LIFE, CHECKS_OF_CHALLENGE, CodeRequest, RateLimitExceeded, WRONG_CODES,
    forget_login_sends, reset, take,
};
use crate::models::{Connection, Database, Error, sms_days};
use crate::services::twilio_verify::{CheckError, TwilioVerify, Verdict};

/// Why a code was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The code is wrong, and more may be tried.
    #[error("wrong code")]
    Wrong,
    /// The code was wrong for the last time, here or at Twilio: the
    /// verification is closed.
    #[error("wrong code, and the verification is closed")]
    Exhausted,
    /// Too many wrong codes were entered for the account, in whatever session.
    #[error(transparent)]
    TooMany(#[from] RateLimitExceeded),
    /// The verification expired, was used, closed or superseded.
    #[error("the verification is gone")]
    Gone,
    /// Twilio knows the code no more; another may be asked for.
    #[error("the code has expired")]
    CodeExpired {
        /// Whether that was the last try, so that no other code would help.
        last: bool,
    },
    /// Twilio could not be asked. The attempt stays counted.
    #[error("the code could not be checked")]
    Unavailable {
        /// Whether that was the last try.
        last: bool,
    },
    /// The work could not be done.
    #[error(transparent)]
    Other(#[from] Error),
}

impl Refused {
    /// What counts it.
    const fn as_str(&self) -> &'static str {
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
    /// Asks Twilio whether the code is right. The attempt is counted in the
    /// statement that permits it, before Twilio is asked, so that no number of
    /// parallel requests gets more than [`CHECKS_OF_CHALLENGE`] answers. A right code is
    /// not used up yet: [`Challenge::consume`] does that, in the transaction of
    /// what it is for.
    ///
    /// # Errors
    /// [`Refused`], whenever the answer is not a plain yes.
    pub async fn check(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        code: &SecretString,
        now: i64,
    ) -> Result<(), Refused> {
        let checked = self.check_uncounted(database, verify, code, now).await;
        let outcome = checked.as_ref().map_or_else(Refused::as_str, |()| "right");
        let metrics = verify.metrics();
        metrics.code_checked(self.country.as_deref(), outcome);
        checked
    }

    async fn check_uncounted(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        code: &SecretString,
        now: i64,
    ) -> Result<(), Refused> {
        if self.sends == 0 {
            return Err(Refused::CodeExpired { last: false }); // none was sent for this one
        }
        let checks = self.count_check(database, now).await?;
        let answer = verify
            .check(
                self.purpose.service(),
                &self.phone,
                self.provider_sid.as_deref(),
                code,
            )
            .await;
        let last = checks >= CHECKS_OF_CHALLENGE;
        let refused = match answer {
            Ok(Verdict::Approved) => return Ok(()),
            Ok(Verdict::Wrong) if last => Refused::Exhausted,
            Ok(Verdict::Wrong) => Refused::Wrong,
            Err(CheckError::TooManyWrong) => Refused::Exhausted,
            Err(CheckError::Expired) => Refused::CodeExpired { last },
            Err(CheckError::Unavailable) => Refused::Unavailable { last },
        };
        // Only a wrong code closes it: where the last answer is none, one of the
        // others, under way still, may have been approved. No more are asked for.
        if matches!(refused, Refused::Exhausted) {
            self.close(database, verify, Outcome::Exhausted, now)
                .await?;
        }
        Err(refused)
    }

    /// Counts a check in the verification and in the account, before Twilio is
    /// asked. Returns how many it is.
    async fn count_check(&self, database: &Database, now: i64) -> Result<i64, Refused> {
        let mut transaction = database.begin().await.map_err(Error::from)?;
        let checks: Option<i64> = sqlx::query_scalar(
            "UPDATE challenges SET checks = checks + 1 \
             WHERE id = $1 AND closed_at IS NULL AND expires_at > $2 AND checks < $3 \
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

    /// Uses the verification up, within the transaction of what it is for.
    /// Returns whether it was still there to be used: of any number of parallel
    /// uses, one is told yes.
    pub async fn consume(&self, connection: &mut Connection, now: i64) -> Result<bool, Error> {
        self.use_up(connection, Outcome::Approved, now).await
    }

    /// The same, where a recovery code was entered in place of the phone's, which
    /// clears all that the account's log-ins have counted.
    pub async fn recover(&self, connection: &mut Connection, now: i64) -> Result<bool, Error> {
        if !self.use_up(connection, Outcome::Recovered, now).await? {
            return Ok(false);
        }
        forget_login_sends(connection, &self.user_id, now).await?;
        Ok(true)
    }

    async fn use_up(
        &self,
        connection: &mut Connection,
        outcome: Outcome,
        now: i64,
    ) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE challenges SET closed_at = $1, outcome = $2 \
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
            is_new_number: false, // what counts those is not refunded
        };
        let opened_at = self.expires_at - CHALLENGE_LIFE;
        request
            .refund_entered(connection, self.sends, opened_at)
            .await?;
        reset(connection, &WRONG_CODES.buckets(self.user_id.as_str()), now).await?;
        unfinished::withdraw(connection, &self.id, &self.user_id, now).await?;
        if outcome == Outcome::Approved {
            let sent_at = self.last_sent_at.unwrap_or(now);
            sms_days::record_entered(connection, self.country.as_deref(), sent_at).await?;
        }
        Ok(true)
    }
}
