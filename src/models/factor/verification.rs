//! Twilio's verification of a phone: the code that was sent, and its result. Twilio keeps one
//! per number and service, so the open logins and reauthentications of a user share it. A
//! number that is being added has its own.

use secrecy::SecretString;
use sqlx::FromRow;
use strum::AsRefStr;

use crate::models::factor::Delivery;
use crate::models::rate_limit::{
    CHALLENGE_LIFE, CHECKS_OF_CHALLENGE, CodeRequest, SEND_INTERVAL, SendLimits,
};
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Flag, Result};
use crate::services::metrics::Metrics;
use crate::services::twilio_verify::{CheckError, Service, TwilioVerify, Verdict};

/// The services, limits and country for sending codes to a number.
pub struct CodeSender<'a> {
    pub database: &'a Database,
    pub verify: &'a TwilioVerify,
    pub metrics: &'a Metrics,
    pub limits: SendLimits,
    /// The country of the number, for the SMS report and the metrics.
    pub country: Option<&'a str>,
}

/// A row of the table `verifications`, as it was read. Statements decide with the current row.
#[derive(Debug, Clone, FromRow)]
pub struct Verification {
    pub id: String,
    pub(super) user_id: UserId,
    pub phone: String,
    pub country: Option<String>,
    #[sqlx(try_from = "Flag")]
    pub is_adding: bool,
    /// Twilio's SID, if Twilio answered.
    pub(super) sid: Option<String>,
    #[sqlx(try_from = "&'a str")]
    pub delivery: Delivery,
    checks: i64,
    pub last_sent_at: i64,
    expires_at: i64,
    outcome: Option<String>,
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum End {
    Approved,
    /// A recovery code was entered instead.
    Recovered,
    /// It takes no more codes.
    Exhausted,
    /// No open challenge uses it.
    Canceled,
}

impl Verification {
    pub async fn find(connection: &mut Connection, id: &str) -> Result<Option<Self>> {
        Ok(sqlx::query_as("SELECT * FROM verifications WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    /// Whether the user may enter its code.
    pub fn is_open(&self, now: i64) -> bool {
        self.outcome.is_none()
            && self.expires_at > now
            && self.checks < CHECKS_OF_CHALLENGE
            && self.delivery.may_have_arrived()
    }

    /// Seconds until another code may be sent to the number. A send in the future was recorded
    /// by a wrong clock and does not count.
    pub fn seconds_until_send(&self, now: i64) -> i64 {
        match self.last_sent_at <= now {
            true => (self.last_sent_at + SEND_INTERVAL - now).max(0),
            false => 0,
        }
    }

    /// The Verify service of the number. Numbers that are being added have their own if one is
    /// configured, so that strangers who try a user's number can't consume the attempts of the
    /// user's login.
    pub(super) const fn service(&self) -> Service {
        match self.is_adding {
            true => Service::Enroll,
            false => Service::Main,
        }
    }

    /// The verification that a new login or reauthentication may use: one that another open
    /// challenge uses, or whose code was just sent.
    pub(in crate::models) async fn find_shared(
        connection: &mut Connection,
        user: &UserId,
        phone: &str,
        now: i64,
    ) -> Result<Option<Self>> {
        let newest: Option<Self> = sqlx::query_as(
            r"SELECT *
            FROM verifications
            WHERE user_id = $1 AND phone = $2 AND is_adding = 0 AND outcome IS NULL
                AND expires_at > $3
                AND (last_sent_at > $4 OR EXISTS (
                    SELECT 1 FROM challenges
                    WHERE verification_id = verifications.id
                        AND closed_at IS NULL AND challenges.expires_at > $3
                ))
            ORDER BY last_sent_at DESC
            LIMIT 1",
        )
        .bind(user.as_str())
        .bind(phone)
        .bind(now)
        .bind(now - SEND_INTERVAL)
        .fetch_optional(connection)
        .await?;
        Ok(newest.filter(|it| it.is_open(now)))
    }

    /// Records a new verification, or another code of `open`, before Twilio is asked.
    pub(in crate::models) async fn begin_send(
        connection: &mut Connection,
        open: Option<&Self>,
        request: &CodeRequest<'_>,
        country: Option<&str>,
        now: i64,
    ) -> Result<Self> {
        if let Some(open) = open {
            return Ok(sqlx::query_as(
                r"UPDATE verifications
                SET sends = sends + 1, last_sent_at = $1
                WHERE id = $2
                RETURNING *",
            )
            .bind(now)
            .bind(&open.id)
            .fetch_one(connection)
            .await?);
        }
        Ok(sqlx::query_as(
            r"INSERT INTO verifications (
                id, user_id, phone, country, is_adding, delivery, sends, checks,
                created_at, last_sent_at, expires_at
            )
            VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $7, $8)
            RETURNING *",
        )
        .bind(random_id()?)
        .bind(request.user.as_str())
        .bind(request.phone)
        .bind(country)
        .bind(i64::from(request.is_adding))
        .bind(Delivery::Sending.as_ref())
        .bind(now)
        .bind(now + CHALLENGE_LIFE)
        .fetch_one(connection)
        .await?)
    }

    /// The time of the last send to a user's number, if it is too recent for another. One whose
    /// code was verified does not count, nor a number that Twilio refused: the user may have
    /// mistyped it and can correct it at once. The caller's transaction holds the account's row.
    pub(in crate::models) async fn recent_send(
        connection: &mut Connection,
        user: &UserId,
        phone: &str,
        now: i64,
    ) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(
            r"SELECT MAX(last_sent_at)
            FROM verifications
            WHERE user_id = $1 AND phone = $2 AND last_sent_at > $3 AND last_sent_at <= $4
                AND (outcome IS NULL OR outcome NOT IN ($5, $6))
                AND delivery NOT IN ($7, $8, $9, $10)",
        )
        .bind(user.as_str())
        .bind(phone)
        .bind(now - SEND_INTERVAL)
        .bind(now)
        .bind(End::Approved.as_ref())
        .bind(End::Recovered.as_ref())
        .bind(Delivery::InvalidNumber.as_ref())
        .bind(Delivery::TooMany.as_ref())
        .bind(Delivery::Blocked.as_ref())
        .bind(Delivery::FraudGuard.as_ref())
        .fetch_one(connection)
        .await?)
    }

    /// Counts a check. `None` if the verification takes no more codes.
    pub(in crate::models) async fn count_check(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(
            r"UPDATE verifications
            SET checks = checks + 1
            WHERE id = $1 AND outcome IS NULL AND expires_at > $2 AND checks < $3
            RETURNING checks",
        )
        .bind(&self.id)
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(connection)
        .await?)
    }

    /// Ends it with the right code, and refunds its sends. Returns whether it was open: of
    /// parallel calls, one returns true.
    pub(in crate::models) async fn approve(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<bool> {
        let counted: Option<(i64, i64)> = sqlx::query_as(
            r"UPDATE verifications
            SET outcome = $1
            WHERE id = $2 AND outcome IS NULL AND expires_at > $3
            RETURNING sends, created_at",
        )
        .bind(End::Approved.as_ref())
        .bind(&self.id)
        .bind(now)
        .fetch_optional(&mut *connection)
        .await?;
        let Some((sends, created_at)) = counted else {
            return Ok(false);
        };
        let request = CodeRequest {
            user: &self.user_id,
            phone: &self.phone,
            is_adding: self.is_adding,
            is_new_number: false, // the limits of new numbers are not refunded
        };
        request
            .refund_verified(connection, sends, created_at, now)
            .await?;
        Ok(true)
    }

    /// Ends a verification, and cancels it at Twilio, so that the next one gets a new code.
    /// `Canceled` and `Recovered` leave one alone that another open challenge uses. If Twilio
    /// fails, that is only logged: we no longer accept the code.
    pub async fn end(
        database: &Database,
        verify: &TwilioVerify,
        id: &str,
        end: End,
        now: i64,
    ) -> Result<()> {
        let ended: Option<Self> = sqlx::query_as(
            r"UPDATE verifications
            SET outcome = $1
            WHERE id = $2 AND outcome IS NULL
                AND ($3 = 1 OR NOT EXISTS (
                    SELECT 1 FROM challenges
                    WHERE verification_id = $2 AND closed_at IS NULL AND challenges.expires_at > $4
                ))
            RETURNING *",
        )
        .bind(end.as_ref())
        .bind(id)
        .bind(i64::from(end == End::Exhausted))
        .bind(now)
        .fetch_optional(database)
        .await?;
        match ended {
            Some(ended) => ended.cancel_at_twilio(database, verify, now).await,
            None => Ok(()),
        }
    }

    /// Cancels it at Twilio, unless an open verification of another user with the same number
    /// has the same SID.
    pub(super) async fn cancel_at_twilio(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        now: i64,
    ) -> Result<()> {
        // After that it has expired at Twilio too.
        let Some(sid) = self.sid.as_deref().filter(|_| self.expires_at > now) else {
            return Ok(());
        };
        let shared: Option<i64> = sqlx::query_scalar(
            r"SELECT checks
            FROM verifications
            WHERE sid = $1 AND id <> $2 AND outcome IS NULL AND expires_at > $3
            LIMIT 1",
        )
        .bind(sid)
        .bind(&self.id)
        .bind(now)
        .fetch_optional(database)
        .await?;
        if shared.is_none() {
            // The client logs a failure.
            let _ = verify.cancel(self.service(), sid).await;
        }
        Ok(())
    }

    /// Asks Twilio whether this is the verification's code.
    pub(in crate::models) async fn check(
        &self,
        verify: &TwilioVerify,
        code: &SecretString,
    ) -> Result<Verdict, CheckError> {
        let sid = self.sid.as_deref();
        verify.check(self.service(), &self.phone, sid, code).await
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }
}
