//! Sending the code of a verification by Twilio.

use crate::models::factor::{CodeSender, Delivery, End, Factor, SendMethod, Verification};
use crate::models::rate_limit::{Attempt, BUDGETS, CodeRequest, refund, take};
use crate::models::{Connection, Database, Error, Result, sms_days, with_causes};
use crate::services::twilio_verify::{Channel, RiskCheck, SendError, Sent};

impl CodeRequest<'_> {
    /// Whether the number is new, and so has limits of its own.
    pub(in crate::models) async fn with_age(
        self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<Self> {
        let is_new = self.is_adding || Factor::has_new_phone(connection, self.user, now).await?;
        Ok(Self {
            is_new_number: is_new,
            ..self
        })
    }
}

impl Verification {
    /// Requests a code from Twilio and records the result. If no challenge is open any more,
    /// the code is canceled. `self` is the row before this send.
    pub(in crate::models) async fn deliver(
        &self,
        sender: &CodeSender<'_>,
        method: SendMethod,
        mut attempt: Attempt,
        now: i64,
    ) -> Result<Delivery> {
        let (database, verify) = (sender.database, sender.verify);
        let answer = match method {
            SendMethod::Any => {
                let may_call = async {
                    let call = self.take_call(sender, now).await;
                    let is_allowed = call.is_some();
                    attempt.add(call.unwrap_or_default());
                    is_allowed
                };
                let (service, phone) = (self.service(), &self.phone);
                verify
                    .send(service, phone, RiskCheck::Enable, may_call)
                    .await
            }
            SendMethod::DespiteFraudGuard => {
                let (service, phone) = (self.service(), &self.phone);
                let no_call = async { false };
                verify
                    .send(service, phone, RiskCheck::Disable, no_call)
                    .await
            }
            SendMethod::Call => verify.call(self.service(), &self.phone).await,
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
        let (kept, sid) = match (&answer, self.sid.as_deref()) {
            (Err(_), Some(before)) => (self.delivery, Some(before)),
            _ => (delivery, sid),
        };
        let recorded: Self = sqlx::query_as(
            r"UPDATE verifications
            SET delivery = $1, sid = $2
            WHERE id = $3
            RETURNING *",
        )
        .bind(kept.as_ref())
        .bind(sid)
        .bind(&self.id)
        .fetch_one(database)
        .await?;
        match recorded.has_ended() {
            true => recorded.cancel_at_twilio(database, verify, now).await?,
            false => Self::end(database, verify, &self.id, End::Canceled, now).await?,
        }
        let fell_back = method == SendMethod::Any && delivery == Delivery::Call;
        let country = self.country.as_deref();
        sender
            .metrics
            .count_sent_code(country, delivery.into(), fell_back);
        tracing::info!(
            event = "code_asked_for",
            user = self.user_id.as_str(),
            adding = self.is_adding,
            delivery = delivery.as_ref(),
            "requested a code from Twilio"
        );
        Ok(delivery)
    }

    /// Counts a call in place of a failed SMS. `None`, and no call, if a limit refuses it or
    /// the database fails.
    async fn take_call(&self, sender: &CodeSender<'_>, now: i64) -> Option<Attempt> {
        let attempt = async {
            let mut connection = sender.database.acquire().await?;
            let request = CodeRequest::new(&self.user_id, &self.phone, self.is_adding);
            let request = request.with_age(&mut connection, now).await?;
            take(&mut connection, &sender.limits.call_buckets(&request), now).await
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
}

/// Refunds a send that failed. A failure on our side or Twilio's counts nowhere. A number
/// that Twilio refuses costs no budget, but counts against its user.
async fn refund_failed(database: &Database, attempt: &Attempt, error: &SendError) -> Result<()> {
    let mut connection = database.acquire().await?;
    match error {
        SendError::Failed | SendError::RateLimited | SendError::Misconfigured => {
            refund(&mut connection, attempt).await
        }
        SendError::InvalidNumber
        | SendError::TooMany
        | SendError::FraudGuard
        | SendError::Blocked => refund(&mut connection, &attempt.under(&BUDGETS)).await,
    }
}
