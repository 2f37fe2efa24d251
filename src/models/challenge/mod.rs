//! Challenges: one row per request to verify a code. The row, never the session, holds the
//! user, the purpose and the phone number.

mod checking;
mod delivery;
pub mod id;
mod opening;
mod resending;
mod unfinished;

pub use checking::Refused;
pub use delivery::{Delivery, SendMethod};
pub use id::ChallengeId;
pub use opening::{NewChallenge, NewLogin, NotOpened};
pub use resending::{ResendRefused, ResendStatus};

use sqlx::FromRow;
use strum::{AsRefStr, EnumString};

use crate::models::rate_limit::CHECKS_OF_CHALLENGE;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Flag, Result};
use crate::services::twilio_verify::{Service, TwilioVerify};

/// The purpose of a challenge. Its code serves no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    #[strum(serialize = "login")]
    LogIn,
    /// To turn two-factor authentication on, or to change the number.
    Enable,
    Reauth,
}

impl Purpose {
    /// Numbers that are being added have a separate Verify service if one is configured, so
    /// that strangers who try a user's number can't consume the attempts of the user's login.
    const fn service(self) -> Service {
        match self {
            Self::Enable => Service::Enroll,
            Self::LogIn | Self::Reauth => Service::Main,
        }
    }
}

/// A challenge as it was read. Statements decide with the current row, not with this copy.
#[derive(Debug, Clone, FromRow)]
pub struct Challenge {
    pub id: ChallengeId,
    pub user_id: UserId,
    /// The account's version when the challenge was opened.
    pub auth_version: i64,
    #[sqlx(try_from = "&'a str")]
    pub purpose: Purpose,
    pub phone: String,
    /// Twilio's verification, if Twilio answered.
    pub provider_sid: Option<String>,
    /// The result of the last send.
    #[sqlx(try_from = "&'a str")]
    pub delivery: Delivery,
    /// The country of the number, for the SMS report and the metrics.
    pub country: Option<String>,
    /// A local path to go to afterwards.
    pub next: Option<String>,
    /// Whether the login outlives the browser.
    #[sqlx(try_from = "Flag")]
    pub remember: bool,
    /// Codes sent, requested calls among them, and codes checked.
    sends: i64,
    calls: i64,
    checks: i64,
    /// The last send, in Unix seconds.
    pub last_sent_at: Option<i64>,
    expires_at: i64,
}

/// How a challenge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The right code was entered.
    Approved,
    /// A recovery code was entered instead.
    Recovered,
    /// Another challenge was opened, or the account changed.
    Superseded,
    Cancelled,
    Exhausted,
    /// No code could be sent to a number that was being added.
    NotSent,
}

impl Challenge {
    /// The open challenge with an id, if it has time and attempts left.
    pub async fn find_open(
        database: &Database,
        id: &ChallengeId,
        now: i64,
    ) -> Result<Option<Self>> {
        Ok(sqlx::query_as(
            r"SELECT * FROM challenges
              WHERE id = $1 AND closed_at IS NULL AND expires_at > $2 AND checks < $3",
        )
        .bind(id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(database)
        .await?)
    }

    /// Closes the challenge unused and cancels its verification at Twilio, so that the next
    /// challenge gets a new code. If Twilio fails, that is only logged: we no longer accept the code.
    pub async fn close(
        &self,
        database: &Database,
        verify: &TwilioVerify,
        outcome: Outcome,
        now: i64,
    ) -> Result<()> {
        sqlx::query(
            r"UPDATE challenges
              SET closed_at = $1, outcome = $2
              WHERE id = $3 AND closed_at IS NULL",
        )
        .bind(now)
        .bind(outcome.as_ref())
        .bind(self.id.as_str())
        .execute(database)
        .await?;
        self.cancel_at_twilio(database, verify, now).await
    }

    /// Closes all of a user's open challenges.
    pub async fn close_all(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<Vec<Self>> {
        Ok(sqlx::query_as(
            r"UPDATE challenges
              SET closed_at = $1, outcome = $2
              WHERE user_id = $3 AND closed_at IS NULL
              RETURNING *",
        )
        .bind(now)
        .bind(Outcome::Superseded.as_ref())
        .bind(user.as_str())
        .fetch_all(connection)
        .await?)
    }
}
