//! Sending the code of an open challenge again.

use crate::models::challenge::{Challenge, Delivery, Outcome, Purpose, SendMethod};
use crate::models::factor::Factor;
use crate::models::rate_limit::{
    CALLS_OF_CHALLENGE, CHECKS_OF_CHALLENGE, CodeRequest, RateLimitExceeded, SEND_INTERVAL,
    SENDS_OF_CHALLENGE, SendLimits, WRONG_CODES, exceeded, take,
};
use crate::models::{Connection, Database, Error, Result};
use crate::services::metrics::Metrics;
use crate::services::twilio_verify::TwilioVerify;

/// When a challenge may send another code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendStatus {
    Now,
    /// In this many seconds: the last send is too recent.
    Soon(i64),
    /// When a limit permits it.
    Limited(RateLimitExceeded),
    /// Never: the challenge has sent all its codes.
    NoMoreCodes,
    /// Never by a call: the challenge has made all its calls.
    NoMoreCalls,
}

impl ResendStatus {
    /// Seconds until another code may be sent.
    pub const fn wait(self) -> i64 {
        match self {
            Self::Now | Self::NoMoreCodes | Self::NoMoreCalls => 0,
            Self::Soon(seconds) => seconds,
            Self::Limited(exceeded) => exceeded.retry_after,
        }
    }
}

/// Why another code was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ResendRefused {
    /// Not now, or never.
    #[error("not now: {0:?}")]
    NotNow(ResendStatus),
    /// The challenge expired, was consumed, closed or superseded.
    #[error("the challenge is gone")]
    Gone,
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<sqlx::Error> for ResendRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Challenge {
    /// Sends the code again, by SMS or by a call. One transaction permits and counts the send
    /// before the request to Twilio. If Twilio refuses, that is not an error: the [`Delivery`]
    /// says so.
    pub async fn resend(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        metrics: &Metrics,
        method: SendMethod,
        limits: &SendLimits,
        now: i64,
    ) -> Result<Delivery, ResendRefused> {
        let mut transaction = database.begin().await?;
        if !self.reserve(&mut transaction, method, limits, now).await? {
            drop(transaction);
            return Err(self.reason_not_now(database, method, limits, now).await?);
        }
        let request = self.code_request(&mut transaction, now).await?;
        let buckets = limits.buckets(&request, method == SendMethod::Call, false);
        let result = take(&mut transaction, &buckets, now).await?;
        let attempt = result.map_err(|it| ResendRefused::NotNow(ResendStatus::Limited(it)))?;
        transaction.commit().await?;
        let delivery = self
            .deliver(database, verify, method, limits, attempt, now)
            .await?;
        self.count(metrics, method, delivery);
        Ok(delivery)
    }

    /// Describes a code of this challenge to the limits on sending.
    pub(super) async fn code_request(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<CodeRequest<'_>> {
        let is_adding = self.purpose == Purpose::Enable;
        Ok(CodeRequest {
            user: &self.user_id,
            phone: &self.phone,
            is_adding,
            is_new_number: is_adding
                || Factor::has_new_phone(connection, &self.user_id, now).await?,
        })
    }

    /// Counts the send in the challenge. Returns whether the challenge may send another code.
    async fn reserve(
        &self,
        connection: &mut Connection,
        method: SendMethod,
        limits: &SendLimits,
        now: i64,
    ) -> Result<bool> {
        // The statement checks the row's own last_sent_at outside the subquery: after waiting
        // for a parallel send, PostgreSQL reads the row again, but not the subquery.
        let reserved = sqlx::query(
            r"UPDATE challenges
              SET sends = sends + 1, calls = calls + $1, last_sent_at = $2, delivery = $3
              WHERE id = $4 AND closed_at IS NULL AND expires_at > $2 AND checks < $10
              AND (
                $5 = 1
                OR (
                  sends < $6
                  AND calls + $1 <= $7
                  AND (last_sent_at IS NULL OR last_sent_at <= $8 OR last_sent_at > $2)
                  AND NOT EXISTS (
                    SELECT 1
                    FROM challenges recent
                    WHERE recent.user_id = challenges.user_id
                    AND recent.purpose = challenges.purpose
                    AND recent.last_sent_at > $8 AND recent.last_sent_at <= $2
                    AND (recent.outcome IS NULL OR recent.outcome NOT IN ($9, $11))
                  )
                )
              )",
        )
        .bind(i64::from(method == SendMethod::Call))
        .bind(now)
        .bind(Delivery::Sending.as_ref())
        .bind(self.id.as_str())
        .bind(i64::from(limits.unlimited))
        .bind(SENDS_OF_CHALLENGE)
        .bind(CALLS_OF_CHALLENGE)
        .bind(now - SEND_INTERVAL)
        .bind(Outcome::Approved.as_ref())
        .bind(CHECKS_OF_CHALLENGE)
        .bind(Outcome::Recovered.as_ref())
        .execute(connection)
        .await?;
        Ok(reserved.rows_affected() == 1)
    }

    async fn reason_not_now(
        &self,
        database: &Database,
        method: SendMethod,
        limits: &SendLimits,
        now: i64,
    ) -> Result<ResendRefused> {
        let Some(current) = Self::find_open(database, &self.id, now).await? else {
            return Ok(ResendRefused::Gone);
        };
        let status = current.resend_status(database, limits, method, now).await?;
        Ok(ResendRefused::NotNow(match status {
            ResendStatus::Now => ResendStatus::Soon(1), // another challenge sent one meanwhile
            other => other,
        }))
    }

    /// When another code or call may be sent, for the page. [`Challenge::resend`] decides.
    pub async fn resend_status(
        &self,
        database: &Database,
        limits: &SendLimits,
        method: SendMethod,
        now: i64,
    ) -> Result<ResendStatus> {
        if limits.unlimited {
            return Ok(ResendStatus::Now);
        }
        if self.sends >= SENDS_OF_CHALLENGE {
            return Ok(ResendStatus::NoMoreCodes);
        }
        if method == SendMethod::Call && self.calls >= CALLS_OF_CHALLENGE {
            return Ok(ResendStatus::NoMoreCalls);
        }
        let mut connection = database.acquire().await?;
        let request = self.code_request(&mut connection, now).await?;
        let buckets = limits.buckets(&request, method == SendMethod::Call, false);
        let limited = exceeded(&mut connection, &buckets, now).await?;
        let soon = self.seconds_until_send(now);
        Ok(match limited {
            Some(exceeded) if exceeded.retry_after >= soon => ResendStatus::Limited(exceeded),
            _ if soon > 0 => ResendStatus::Soon(soon),
            _ => ResendStatus::Now,
        })
    }

    /// Seconds until the interval after the last send is over. A send in the future was
    /// recorded by a wrong clock and does not count.
    pub(super) fn seconds_until_send(&self, now: i64) -> i64 {
        self.last_sent_at
            .filter(|at| *at <= now)
            .map_or(0, |at| (at + SEND_INTERVAL - now).max(0))
    }

    /// The limit of wrong codes, if it is exceeded: then not even a right code is accepted.
    pub async fn locked_until(
        &self,
        database: &Database,
        now: i64,
    ) -> Result<Option<RateLimitExceeded>> {
        let buckets = WRONG_CODES.buckets(self.user_id.as_str());
        exceeded(&mut *database.acquire().await?, &buckets, now).await
    }
}
