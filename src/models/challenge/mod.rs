//! Challenges: one row per request to verify a second factor. A challenge belongs to the session
//! that refers to it. The row, never the session, holds the user, the purpose and the factor.

mod checking;
pub mod id;
mod opening;
mod resending;
mod switching;
pub(super) mod unfinished;

pub use checking::{Checked, Proof, Refused};
pub use id::ChallengeId;
pub use opening::{NewChallenge, NewLogin, NotOpened, Opened};
pub use resending::{ResendRefused, ResendStatus};

use sqlx::FromRow;
use strum::{AsRefStr, EnumString};

use crate::models::factor::{Delivery, End, Factor, FactorId, Verification};
use crate::models::rate_limit::CHECKS_OF_CHALLENGE;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Flag, Result};
use crate::services::twilio_verify::TwilioVerify;

/// The purpose of a challenge. Its code serves no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    #[strum(serialize = "login")]
    LogIn,
    /// To add a phone, or to change its number.
    #[strum(serialize = "enable")]
    AddPhone,
    Reauth,
}

#[derive(FromRow)]
struct Row {
    id: ChallengeId,
    user_id: UserId,
    auth_version: i64,
    #[sqlx(try_from = "&'a str")]
    purpose: Purpose,
    factor_id: Option<FactorId>,
    verification_id: Option<String>,
    next: Option<String>,
    #[sqlx(try_from = "Flag")]
    remember: bool,
    #[sqlx(try_from = "Flag")]
    fraud_guard: bool,
    expires_at: i64,
}

/// A challenge as it was read. Statements decide with the current row, not with this copy.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub id: ChallengeId,
    pub user_id: UserId,
    /// The account's version when the challenge was opened.
    pub auth_version: i64,
    pub purpose: Purpose,
    /// The factor in use. None while a phone is being added.
    pub factor: Option<Factor>,
    /// The code that was sent, if the factor is a phone.
    pub verification: Option<Verification>,
    /// A local path to go to afterwards.
    pub next: Option<String>,
    /// Whether the login outlives the browser.
    pub remember: bool,
    /// Whether Twilio's fraud guard blocked the last code.
    fraud_guard: bool,
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
        let mut connection = database.acquire().await?;
        let row: Option<Row> = sqlx::query_as(
            r"SELECT * FROM challenges
              WHERE id = $1 AND closed_at IS NULL AND expires_at > $2 AND checks < $3",
        )
        .bind(id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .fetch_optional(&mut *connection)
        .await?;
        match row {
            Some(row) => Ok(Some(Self::load(&mut connection, row).await?)),
            None => Ok(None),
        }
    }

    async fn load(connection: &mut Connection, row: Row) -> Result<Self> {
        let factor = match &row.factor_id {
            Some(id) => Factor::find(connection, &row.user_id, id).await?,
            None => None,
        };
        let verification = match &row.verification_id {
            Some(id) => Verification::find(connection, id).await?,
            None => None,
        };
        Ok(Self::from_parts(row, factor, verification))
    }

    fn from_parts(row: Row, factor: Option<Factor>, verification: Option<Verification>) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            auth_version: row.auth_version,
            purpose: row.purpose,
            factor,
            verification,
            next: row.next,
            remember: row.remember,
            fraud_guard: row.fraud_guard,
            expires_at: row.expires_at,
        }
    }

    /// The number that codes go to. None if the factor is no phone.
    pub fn phone(&self) -> Option<&str> {
        match &self.factor {
            Some(factor) => factor.phone_number(),
            None => self.verification.as_ref().map(|it| it.phone.as_str()),
        }
    }

    /// The verification, if its code may be entered.
    pub fn open_verification(&self, now: i64) -> Option<&Verification> {
        self.verification.as_ref().filter(|it| it.is_open(now))
    }

    /// The result of the last send. A code that other challenges have used up counts as held
    /// back: the user may request another.
    pub fn delivery(&self, now: i64) -> Delivery {
        match &self.verification {
            Some(it) if it.is_open(now) || !it.delivery.may_have_arrived() => it.delivery,
            _ => Delivery::HeldBack,
        }
    }

    /// Whether the next SMS is sent despite Twilio's fraud guard. Only at a login: its number is
    /// verified, and an attacker can't choose it.
    pub fn overrides_fraud_guard(&self) -> bool {
        self.purpose == Purpose::LogIn && self.fraud_guard
    }

    /// Seconds until the challenge expires.
    pub fn expires_in(&self, now: i64) -> i64 {
        (self.expires_at - now).max(1)
    }

    /// Closes the challenge unused, and its verification if no other challenge uses it.
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
        let end = match outcome {
            Outcome::Exhausted => End::Exhausted,
            _ => End::Canceled,
        };
        match &self.verification {
            Some(it) => Verification::end(database, verify, &it.id, end, now).await,
            None => Ok(()),
        }
    }

    /// Closes all of a user's open challenges, after a change of the password or of factors.
    /// Returns their verifications, to end after the commit.
    pub async fn close_all(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<Vec<String>> {
        let closed: Vec<Option<String>> = sqlx::query_scalar(
            r"UPDATE challenges
              SET closed_at = $1, outcome = $2
              WHERE user_id = $3 AND closed_at IS NULL
              RETURNING verification_id",
        )
        .bind(now)
        .bind(Outcome::Superseded.as_ref())
        .bind(user.as_str())
        .fetch_all(connection)
        .await?;
        Ok(closed.into_iter().flatten().collect())
    }
}
