//! Sending the code of a challenge, and canceling it at Twilio.

use strum::{AsRefStr, EnumString, IntoStaticStr};

use crate::models::challenge::Challenge;
use crate::models::rate_limit::{Attempt, BUDGETS, SendLimits, refund, take};
use crate::models::user::User;
use crate::models::{Database, Error, Result, sms_days, with_causes};
use crate::services::metrics::Metrics;
use crate::services::twilio_verify::{Channel, SendError, Sent, TwilioVerify};

/// The result of a challenge's last send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Delivery {
    /// The request to Twilio is pending.
    Sending,
    Sms,
    Call,
    /// Twilio did not answer in time. The code may have been sent.
    Unknown,
    /// No code was sent, because of the last one or of a limit.
    HeldBack,
    /// Twilio cannot reach the number.
    InvalidNumber,
    /// Twilio has sent too many codes to the number.
    TooMany,
    /// Twilio blocks the number, for fraud or its country.
    Blocked,
    /// Twilio refuses our credentials or service.
    Misconfigured,
    /// Neither SMS nor call could be sent.
    Failed,
}

impl Delivery {
    /// Whether the user may have received a code.
    pub const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Sending | Self::Sms | Self::Call | Self::Unknown)
    }
}

impl From<&SendError> for Delivery {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::InvalidNumber => Self::InvalidNumber,
            SendError::TooMany => Self::TooMany,
            SendError::Blocked => Self::Blocked,
            SendError::Misconfigured => Self::Misconfigured,
            SendError::Failed => Self::Failed,
        }
    }
}

/// The channel that a code is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMethod {
    /// An SMS, or a call if the SMS fails.
    Any,
    /// A call that the user requested.
    Call,
}

impl Challenge {
    /// Counts a request for a code in the metrics.
    pub(super) fn count(&self, metrics: &Metrics, method: SendMethod, delivery: Delivery) {
        let fell_back = method == SendMethod::Any && delivery == Delivery::Call;
        metrics.count_sent_code(self.country.as_deref(), delivery.into(), fell_back);
    }

    /// Seconds until the challenge expires.
    pub fn expires_in(&self, now: i64) -> i64 {
        (self.expires_at - now).max(1)
    }

    /// Requests a code from Twilio and records the result, also in a challenge that has
    /// carried this one over meanwhile. If neither is still open, the code is canceled.
    pub(super) async fn deliver(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        method: SendMethod,
        limits: &SendLimits,
        mut attempt: Attempt,
        now: i64,
    ) -> Result<Delivery> {
        let service = self.purpose.service();
        let answer = match method {
            SendMethod::Any => {
                let may_call = async {
                    let call = self.take_call(database, limits, now).await;
                    let is_allowed = call.is_some();
                    attempt.add(call.unwrap_or_default());
                    is_allowed
                };
                verify.send(service, &self.phone, may_call).await
            }
            SendMethod::Call => verify.call(service, &self.phone).await,
        };
        match &answer {
            Ok(_) => self.count_sent(database, now).await?,
            Err(error) => refund_failed(database, &attempt, error).await?,
        }
        let (delivery, sid) = match &answer {
            Ok(Sent { sid: None, .. }) => (Delivery::Unknown, None),
            Ok(Sent { sid, channel }) => match channel {
                Channel::Sms => (Delivery::Sms, sid.as_deref()),
                Channel::Call => (Delivery::Call, sid.as_deref()),
            },
            Err(error) => (Delivery::from(error), None),
        };
        // An earlier code stays valid if sending another one fails.
        let (kept, sid) = match (&answer, self.provider_sid.as_deref()) {
            (Err(_), Some(before)) => (self.delivery, Some(before)),
            _ => (delivery, sid),
        };
        let mut transaction = database.begin().await?;
        // Waits for a request that carries this challenge over. Otherwise PostgreSQL might
        // show neither the old nor the new challenge as open, and the code would be canceled.
        User::lock_for_update(&mut transaction, &self.user_id, self.auth_version).await?;
        let recorded = sqlx::query(
            r"UPDATE challenges
              SET delivery = $1, provider_sid = $2
              WHERE closed_at IS NULL AND user_id = $3 AND purpose = $4 AND phone = $5
              AND (id = $6 OR delivery = $7)",
        )
        .bind(kept.as_ref())
        .bind(sid)
        .bind(self.user_id.as_str())
        .bind(self.purpose.as_ref())
        .bind(&self.phone)
        .bind(self.id.as_str())
        .bind(Delivery::Sending.as_ref())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if recorded.rows_affected() == 0 {
            self.cancel_sid(database, verify, sid, now).await?;
        }
        tracing::info!(
            event = "code_asked_for",
            user = self.user_id.as_str(),
            purpose = self.purpose.as_ref(),
            delivery = delivery.as_ref(),
            "requested a code from Twilio"
        );
        Ok(delivery)
    }

    /// Counts a call in place of a failed SMS. `None`, and no call, if a limit refuses it or
    /// the database fails.
    async fn take_call(
        &self,
        database: &Database,
        limits: &SendLimits,
        now: i64,
    ) -> Option<Attempt> {
        let attempt = async {
            let mut connection = database.acquire().await?;
            let request = self.code_request(&mut connection, now).await?;
            take(&mut connection, &limits.call_buckets(&request), now).await
        };
        let log = |error: Error| {
            let error = with_causes(&error);
            tracing::error!(event = "error", error, "could not count a call");
        };
        attempt.await.map_err(log).ok()?.ok()
    }

    /// Counts the code for its country and warns of SMS pumping.
    async fn count_sent(&self, database: &Database, now: i64) -> Result<()> {
        let mut connection = database.acquire().await?;
        let country = self.country.as_deref();
        if let Some(found) = sms_days::record_sent(&mut connection, country, now).await? {
            tracing::warn!(
                event = "sms_pumping_suspected",
                country = country.unwrap_or(sms_days::NO_COUNTRY),
                sent = found.sent,
                entered = found.entered,
                "few codes to this country are verified"
            );
        }
        Ok(())
    }

    /// Cancels the verification at Twilio, unless an open challenge uses it too: Twilio keeps
    /// one verification per number and service, and another user may have requested it. If
    /// Twilio fails, that is only logged: we no longer accept the code.
    pub async fn cancel_at_twilio(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        now: i64,
    ) -> Result<()> {
        if self.expires_at <= now {
            return Ok(()); // it has expired at Twilio too
        }
        let sid = self.provider_sid.as_deref();
        self.cancel_sid(database, verify, sid, now).await
    }

    async fn cancel_sid(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        sid: Option<&str>,
        now: i64,
    ) -> Result<()> {
        let Some(sid) = sid else { return Ok(()) };
        let shared: Option<i64> = sqlx::query_scalar(
            r"SELECT checks
              FROM challenges
              WHERE provider_sid = $1 AND closed_at IS NULL AND expires_at > $2
              LIMIT 1",
        )
        .bind(sid)
        .bind(now)
        .fetch_optional(database)
        .await?;
        if shared.is_none() {
            // The client logs a failure.
            let _ = verify.cancel(self.purpose.service(), sid).await;
        }
        Ok(())
    }
}

/// Refunds a send that failed. A failure on our side or Twilio's counts nowhere. A number
/// that Twilio refuses costs no budget, but counts against its user.
async fn refund_failed(database: &Database, attempt: &Attempt, error: &SendError) -> Result<()> {
    let mut connection = database.acquire().await?;
    match error {
        SendError::Failed | SendError::Misconfigured => refund(&mut connection, attempt).await,
        SendError::InvalidNumber | SendError::TooMany | SendError::Blocked => {
            refund(&mut connection, &attempt.under(&BUDGETS)).await
        }
    }
}
