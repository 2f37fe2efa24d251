//! Verifications: one row for each code that was asked for. The row, never the
//! session, says whose it is, what for, and which number it went to.

mod allowance;
mod delivery;
pub mod id;
mod opening;
mod resending;
mod unfinished;

pub use allowance::{Allowance, Another};
pub use delivery::{Delivery, Way};
pub use id::ChallengeId;
pub use opening::{NewChallenge, NewLogin};
pub use resending::ResendRefused;

use secrecy::SecretString;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::limits::CHECKS_OF_CHALLENGE;
use crate::models::throttle::{self, TooMany};
use crate::models::user::UserId;
use crate::models::{Connection, Database, Error, sms_days};
use crate::services::twilio_verify::{CheckError, Service, TwilioVerify, Verdict};

/// What a code is asked for. It never serves anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To finish a log-in.
    LogIn,
    /// To switch two-factor authentication on, or to change the number.
    Enable,
    /// To prove that it is still the same person.
    Reauth,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LogIn => "login",
            Self::Enable => "enable",
            Self::Reauth => "reauth",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::LogIn, Self::Enable, Self::Reauth]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }

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
}

impl FromRow<'_, AnyRow> for Challenge {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let unknown = |column: &str| sqlx::Error::ColumnDecode {
            index: column.into(),
            source: "a value that this program does not write".into(),
        };
        Ok(Self {
            id: ChallengeId::from(row.try_get::<String, _>("id")?),
            user_id: UserId::from_column(row.try_get("user_id")?),
            auth_version: row.try_get("auth_version")?,
            purpose: Purpose::parse(row.try_get("purpose")?).ok_or_else(|| unknown("purpose"))?,
            phone: row.try_get("phone")?,
            provider_sid: row.try_get("provider_sid")?,
            delivery: Delivery::parse(row.try_get("delivery")?)
                .ok_or_else(|| unknown("delivery"))?,
            country: row.try_get("country")?,
            next: row.try_get("next")?,
            remember: row.try_get::<i64, _>("remember")? != 0,
            sends: row.try_get("sends")?,
            calls: row.try_get("calls")?,
            checks: row.try_get("checks")?,
            last_sent_at: row.try_get("last_sent_at")?,
            expires_at: row.try_get("expires_at")?,
        })
    }
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Recovered => "recovered",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Exhausted => "exhausted",
            Self::NotSent => "not_sent",
        }
    }
}

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
    TooMany(#[from] TooMany),
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
    /// The open verification of that id, if neither its time nor its tries are
    /// over.
    ///
    /// # Errors
    /// When the database fails.
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
        let bucket = [self.wrong_codes()];
        throttle::count(&mut transaction, &bucket, Some(&self.id), now).await??;
        transaction.commit().await.map_err(Error::from)?;
        Ok(checks)
    }

    /// Uses the verification up, within the transaction of what it is for.
    /// Returns whether it was still there to be used: of any number of parallel
    /// uses, one is told yes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn consume(&self, connection: &mut Connection, now: i64) -> Result<bool, Error> {
        self.use_up(connection, Outcome::Approved, now).await
    }

    /// The same, where a recovery code was entered in place of the phone's, which
    /// clears all that the account's log-ins have counted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recover(&self, connection: &mut Connection, now: i64) -> Result<bool, Error> {
        if !self.use_up(connection, Outcome::Recovered, now).await? {
            return Ok(false);
        }
        throttle::clear_account(connection, &self.user_id).await?;
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
        .bind(outcome.as_str())
        .bind(self.id.as_str())
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        throttle::clear_challenge(connection, &self.id).await?;
        throttle::clear(connection, &self.wrong_codes()).await?;
        unfinished::withdraw(connection, &self.id, &self.user_id).await?;
        if outcome == Outcome::Approved {
            let sent_at = self.last_sent_at.unwrap_or(now);
            sms_days::record_entered(connection, self.country.as_deref(), sent_at).await?;
        }
        Ok(true)
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
        .bind(outcome.as_str())
        .bind(self.id.as_str())
        .execute(database)
        .await?;
        self.cancel_at_twilio(database, verify, now).await
    }

    /// Closes all of a user's open verifications, whatever they are for.
    ///
    /// # Errors
    /// When the database fails.
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
        .bind(Outcome::Superseded.as_str())
        .bind(user.as_str())
        .fetch_all(connection)
        .await?;
        Ok(rows)
    }
}
