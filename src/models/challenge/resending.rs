//! Sending the code of an open verification again.

use crate::models::challenge::allowance::{Allowance, Another};
use crate::models::challenge::{Challenge, Delivery, Outcome, Way};
use crate::models::limits::{
    CALLS_OF_CHALLENGE, CHECKS_OF_CHALLENGE, SEND_INTERVAL, SENDS_OF_CHALLENGE,
};
use crate::models::throttle;
use crate::models::{Connection, Database, Error};
use crate::services::twilio_verify::TwilioVerify;

/// Why another code was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ResendRefused {
    /// Not now, or never.
    #[error("not now: {0:?}")]
    NotNow(Another),
    /// The verification expired, was used, closed or superseded.
    #[error("the verification is gone")]
    Gone,
    /// The work could not be done.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<sqlx::Error> for ResendRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Challenge {
    /// Sends the code again, or calls with it. The sending is counted in the
    /// transaction that permits it, before Twilio is asked.
    ///
    /// # Errors
    /// [`ResendRefused`] when nothing may be sent. That Twilio refused is no
    /// error here but the [`Delivery`].
    pub async fn resend(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        way: Way,
        allowance: &Allowance,
        now: i64,
    ) -> Result<Delivery, ResendRefused> {
        let mut transaction = database.begin().await?;
        if !self.reserve(&mut transaction, way, allowance, now).await? {
            drop(transaction);
            return Err(self.why_not(database, way, allowance, now).await?);
        }
        let buckets = allowance.buckets(&self.user_id, self.purpose, &self.phone, way);
        let counted = throttle::count(&mut transaction, &buckets, Some(&self.id), now).await?;
        let attempt =
            counted.map_err(|too_many| ResendRefused::NotNow(Another::Limited(too_many)))?;
        transaction.commit().await?;
        Ok(self.deliver(database, verify, way, &attempt, now).await?)
    }

    /// Counts the sending in the verification, if that may send another.
    async fn reserve(
        &self,
        connection: &mut Connection,
        way: Way,
        allowance: &Allowance,
        now: i64,
    ) -> Result<bool, Error> {
        // The row's own last_sent_at is asked for by itself: PostgreSQL looks at it
        // anew when another sending was waited for, but not into the subquery.
        let reserved = sqlx::query(
            "UPDATE challenges SET sends = sends + 1, calls = calls + $1, last_sent_at = $2, \
             delivery = $3 WHERE id = $4 AND closed_at IS NULL AND expires_at > $2 \
             AND checks < $10 AND ($5 = 1 OR (sends < $6 AND calls + $1 <= $7 \
             AND (last_sent_at IS NULL OR last_sent_at <= $8) AND NOT EXISTS ( \
             SELECT 1 FROM challenges recent WHERE recent.user_id = challenges.user_id \
             AND recent.purpose = challenges.purpose AND recent.last_sent_at > $8 \
             AND (recent.outcome IS NULL OR recent.outcome NOT IN ($9, $11)))))",
        )
        .bind(i64::from(way == Way::Call))
        .bind(now)
        .bind(Delivery::Sending.as_str())
        .bind(self.id.as_str())
        .bind(i64::from(allowance.unlimited))
        .bind(SENDS_OF_CHALLENGE)
        .bind(CALLS_OF_CHALLENGE)
        .bind(now - SEND_INTERVAL)
        .bind(Outcome::Approved.as_str())
        .bind(CHECKS_OF_CHALLENGE)
        .bind(Outcome::Recovered.as_str())
        .execute(connection)
        .await?;
        Ok(reserved.rows_affected() == 1)
    }

    async fn why_not(
        &self,
        database: &Database,
        way: Way,
        allowance: &Allowance,
        now: i64,
    ) -> Result<ResendRefused, Error> {
        let Some(current) = Self::find_open(database, &self.id, now).await? else {
            return Ok(ResendRefused::Gone);
        };
        let another = current.another(database, allowance, way, now).await?;
        Ok(ResendRefused::NotNow(match another {
            Another::Now => Another::Soon(1), // another verification sent one meanwhile
            other => other,
        }))
    }
}
