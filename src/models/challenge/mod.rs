//! Verifications: one row for each code that was asked for. The row, never the
//! session, says whose it is, what for, and which number it went to.

mod checking;
mod delivery;
pub mod id;
mod opening;
mod resending;
mod unfinished;

pub use checking::Refused;
pub use delivery::{Delivery, Way};
pub use id::ChallengeId;
pub use opening::{NewChallenge, NewLogin};
pub use resending::{Another, ResendRefused};

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};
use strum::{AsRefStr, EnumString};

use crate::models::rate_limit::CHECKS_OF_CHALLENGE;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Error, parse_column};
use crate::services::twilio_verify::{Service, TwilioVerify};

/// What a code is asked for. It never serves anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// To finish a log-in.
    #[strum(serialize = "login")]
    LogIn,
    /// To switch two-factor authentication on, or to change the number.
    Enable,
    /// To prove that it is still the same person.
    Reauth,
}

impl Purpose {
    /// Numbers that are only being tried have a Verify service of their own
    /// where one is configured, so that strangers who try somebody's number
    /// cannot use up the tries of a log-in.
    const fn service(self) -> Service {
        match self {
            Self::Enable => Service::Enroll,
            Self::LogIn | Self::Reauth => Service::Main,
        }
    }
}

/// A verification as it was read; what may be done with it is decided by the
/// statements, not by these copies.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// What names it.
    pub id: ChallengeId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the account was when it was opened.
    pub auth_version: i64,
    /// What for.
    pub purpose: Purpose,
    /// The number that codes go to, in E.164.
    pub phone: String,
    /// The verification at Twilio, where its answer came.
    pub provider_sid: Option<String>,
    /// How the last sending ended.
    pub delivery: Delivery,
    /// The country of the number, for what its codes cost.
    country: Option<String>,
    /// Where to go afterwards: a local path.
    pub next: Option<String>,
    /// Whether the log-in is to outlive the browser.
    pub remember: bool,
    /// Codes sent, calls that were asked for among them, and codes checked.
    sends: i64,
    calls: i64,
    checks: i64,
    /// The last sending, in Unix seconds.
    pub last_sent_at: Option<i64>,
    /// Its end.
    expires_at: i64,
    /// Why no code was sent when it was opened; not in the row.
    pub held_back: Option<Another>,
}

impl FromRow<'_, AnyRow> for Challenge {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: ChallengeId::from(row.try_get::<String, _>("id")?),
            user_id: UserId::from_column(row.try_get("user_id")?),
            auth_version: row.try_get("auth_version")?,
            purpose: parse_column(row, "purpose")?,
            phone: row.try_get("phone")?,
            provider_sid: row.try_get("provider_sid")?,
            delivery: parse_column(row, "delivery")?,
            country: row.try_get("country")?,
            next: row.try_get("next")?,
            remember: row.try_get::<i64, _>("remember")? != 0,
            sends: row.try_get("sends")?,
            calls: row.try_get("calls")?,
            checks: row.try_get("checks")?,
            last_sent_at: row.try_get("last_sent_at")?,
            expires_at: row.try_get("expires_at")?,
            held_back: None,
        })
    }
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The right code was entered.
    Approved,
    /// A recovery code was entered in its place.
    Recovered,
    /// Another one was opened, or the account changed.
    Superseded,
    /// The person gave it up.
    Cancelled,
    /// Too many wrong codes.
    Exhausted,
    /// No code could be sent to a number that was being tried.
    NotSent,
}

impl Challenge {
    /// The open verification of that id, if neither its time nor its tries are
    /// over.
    pub async fn find_open(
        database: &Database,
        id: &ChallengeId,
        now: i64,
    ) -> Result<Option<Self>, Error> {
        Ok(sqlx::query_as(
            "SELECT * FROM challenges \
             WHERE id = $1 AND closed_at IS NULL AND expires_at > $2 AND checks < $3",
        )
        .bind(id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(database)
        .await?)
    }

    /// Closes the verification unused, and cancels it at Twilio, so that the
    /// next one gets a code of its own.
    ///
    /// # Errors
    /// When the database fails. That Twilio could not be asked is logged only:
    /// here the code is dead either way.
    pub async fn close(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        outcome: Outcome,
        now: i64,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE challenges SET closed_at = $1, outcome = $2 \
             WHERE id = $3 AND closed_at IS NULL",
        )
        .bind(now)
        .bind(outcome.as_ref())
        .bind(self.id.as_str())
        .execute(database)
        .await?;
        self.cancel_at_twilio(database, verify, now).await
    }

    /// Closes all of a user's open verifications, whatever they are for.
    pub async fn close_all(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<Vec<Self>, Error> {
        let rows = sqlx::query_as(
            "UPDATE challenges SET closed_at = $1, outcome = $2 \
             WHERE user_id = $3 AND closed_at IS NULL RETURNING *",
        )
        .bind(now)
        .bind(Outcome::Superseded.as_ref())
        .bind(user.as_str())
        .fetch_all(connection)
        .await?;
        Ok(rows)
    }
}
