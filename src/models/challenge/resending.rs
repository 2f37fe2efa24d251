//! Sending the code of an open challenge again.

use crate::models::challenge::{Challenge, Purpose};
use crate::models::factor::{CodeSender, Delivery, SendMethod, Verification};
use crate::models::rate_limit::{
    CALLS_OF_CHALLENGE, CHECKS_OF_CHALLENGE, CodeRequest, RateLimitExceeded, SEND_INTERVAL,
    SENDS_OF_CHALLENGE, WRONG_CODES, exceeded, take,
};
use crate::models::user::User;
use crate::models::{Connection, Database, Error, Result};

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
    /// The factor in use is no phone.
    #[error("no code is sent")]
    NoPhone,
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
        sender: &CodeSender<'_>,
        method: SendMethod,
        now: i64,
    ) -> Result<Delivery, ResendRefused> {
        let phone = self.phone().ok_or(ResendRefused::NoPhone)?;
        let is_call = method == SendMethod::Call;
        let mut transaction = sender.database.begin().await?;
        // Sends to the account run one after the other.
        if !User::lock_for_update(&mut transaction, &self.user_id, self.auth_version).await? {
            return Err(ResendRefused::Gone);
        }
        let status = self
            .resend_status(&mut transaction, sender, method, now)
            .await?;
        if status != ResendStatus::Now {
            return Err(ResendRefused::NotNow(status));
        }
        let request = CodeRequest::new(&self.user_id, phone, self.purpose == Purpose::AddPhone);
        let request = request.with_age(&mut transaction, now).await?;
        let buckets = sender.limits.buckets(&request, is_call, false);
        let result = take(&mut transaction, &buckets, now).await?;
        let attempt = result.map_err(|it| ResendRefused::NotNow(ResendStatus::Limited(it)))?;
        let before = match &self.verification {
            Some(it) => Verification::find(&mut transaction, &it.id).await?,
            None => None,
        };
        let open = before.filter(|it| it.is_open(now));
        let (open, country) = (open.as_ref(), sender.country);
        let sent = Verification::begin_send(&mut transaction, open, &request, country, now).await?;
        let counted = self
            .count_send(&mut transaction, &sent, is_call, now)
            .await?;
        let fraud_guard = counted.ok_or(ResendRefused::Gone)?;
        transaction.commit().await?;
        let method = match (method, self.purpose) {
            (SendMethod::Any, Purpose::LogIn) if fraud_guard => SendMethod::DespiteFraudGuard,
            _ => method,
        };
        let delivery = sent.deliver(sender, method, attempt, now).await?;
        self.record_fraud_guard(sender.database, delivery).await?;
        Ok(delivery)
    }

    /// Records whether Twilio's fraud guard blocked a code. Another failure changes nothing.
    pub(super) async fn record_fraud_guard(
        &self,
        database: &Database,
        delivery: Delivery,
    ) -> Result<()> {
        let is_blocked = delivery == Delivery::FraudGuard;
        if is_blocked || delivery.may_have_arrived() {
            sqlx::query(
                "UPDATE challenges SET fraud_guard = $1 WHERE id = $2 AND fraud_guard <> $1",
            )
            .bind(i64::from(is_blocked))
            .bind(self.id.as_str())
            .execute(database)
            .await?;
        }
        Ok(())
    }

    /// Counts the send in the challenge. Returns whether fraud guard blocked the last one, or
    /// `None` if the challenge is closed.
    async fn count_send(
        &self,
        connection: &mut Connection,
        sent: &Verification,
        is_call: bool,
        now: i64,
    ) -> Result<Option<bool>> {
        let fraud_guard: Option<i64> = sqlx::query_scalar(
            r"UPDATE challenges
              SET sends = sends + 1, calls = calls + $1, verification_id = $2
              WHERE id = $3 AND closed_at IS NULL AND expires_at > $4 AND checks < $5
              RETURNING fraud_guard",
        )
        .bind(i64::from(is_call))
        .bind(&sent.id)
        .bind(self.id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(connection)
        .await?;
        Ok(fraud_guard.map(|it| it != 0))
    }

    /// When another code or call may be sent. [`Challenge::resend`] decides with the same
    /// question, in its transaction.
    pub async fn resend_status(
        &self,
        connection: &mut Connection,
        sender: &CodeSender<'_>,
        method: SendMethod,
        now: i64,
    ) -> Result<ResendStatus> {
        let Some(phone) = self.phone() else {
            return Ok(ResendStatus::NoMoreCodes);
        };
        if sender.limits.unlimited {
            return Ok(ResendStatus::Now);
        }
        let (sends, calls) = self.counted(connection).await?;
        if sends >= SENDS_OF_CHALLENGE {
            return Ok(ResendStatus::NoMoreCodes);
        }
        if method == SendMethod::Call && calls >= CALLS_OF_CHALLENGE {
            return Ok(ResendStatus::NoMoreCalls);
        }
        let request = CodeRequest::new(&self.user_id, phone, self.purpose == Purpose::AddPhone);
        let request = request.with_age(connection, now).await?;
        let buckets = sender
            .limits
            .buckets(&request, method == SendMethod::Call, false);
        let limited = exceeded(connection, &buckets, now).await?;
        let recent = Verification::recent_send(connection, &self.user_id, phone, now).await?;
        let soon = recent.map_or(0, |at| at + SEND_INTERVAL - now);
        Ok(match limited {
            Some(exceeded) if exceeded.retry_after >= soon => ResendStatus::Limited(exceeded),
            _ if soon > 0 => ResendStatus::Soon(soon),
            _ => ResendStatus::Now,
        })
    }

    /// The present counts of sends and calls.
    async fn counted(&self, connection: &mut Connection) -> Result<(i64, i64)> {
        let counted = sqlx::query_as("SELECT sends, calls FROM challenges WHERE id = $1")
            .bind(self.id.as_str())
            .fetch_optional(connection)
            .await?;
        Ok(counted.unwrap_or((SENDS_OF_CHALLENGE, CALLS_OF_CHALLENGE)))
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
