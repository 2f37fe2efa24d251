//! Links in emails. The database holds only their hash, and each works once.

use sqlx::Row;

use crate::models::outbox::{Event, Mail};
use crate::models::rate_limit::RESET_LIFE;
use crate::models::token::Token;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Error, GIVE_UP_AFTER, NOT_ME_LIFE};

/// How long an event can be undone, in seconds. A phone number that stood for so long is
/// the one to restore (`User::restore_phone`), so an older link could restore an intruder's.
const UNDO_WINDOW: i64 = GIVE_UP_AFTER + NOT_ME_LIFE;

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To set a new password.
    ResetPassword,
    /// To undo what a notice told of.
    NotMe {
        /// What it told of.
        event: Event,
        /// The number before it, in E.164.
        former_phone: Option<String>,
    },
}

impl Purpose {
    const fn name(&self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
            Self::NotMe { .. } => "not_me",
        }
    }

    /// How long such a link lives that is sent `now`, in seconds. A link that undoes an
    /// event never lives beyond [`UNDO_WINDOW`] from the time of the event, `at`.
    #[must_use]
    pub fn life(&self, at: i64, now: i64) -> i64 {
        match self {
            Self::ResetPassword => RESET_LIFE,
            Self::NotMe { .. } => NOT_ME_LIFE.min(at + UNDO_WINDOW - now),
        }
    }
}

/// A link that still stands.
#[derive(Debug, Clone)]
pub struct MailToken {
    token_hash: String,
    /// Whose account it is about.
    pub user_id: UserId,
    /// What for.
    pub purpose: Purpose,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
}

impl MailToken {
    /// What names the link without opening anything, for the form that is about
    /// it: the beginning of the token's hash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.token_hash.get(..16).unwrap_or_default()
    }

    /// Makes the token of a link about something that happened `at` that time, and stores
    /// its hash.
    pub async fn issue(
        database: &Database,
        user: &UserId,
        purpose: &Purpose,
        at: i64,
        now: i64,
    ) -> Result<Token, Error> {
        let token = Token::generate()?;
        let (event, former_phone) = match purpose {
            Purpose::ResetPassword => (None, None),
            Purpose::NotMe {
                event,
                former_phone,
            } => (Some(event), former_phone.as_deref()),
        };
        let event = event.map(|event| to_json(*event)).transpose()?;
        sqlx::query(
            "INSERT INTO mail_tokens (token_hash, user_id, purpose, event, former_phone, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(token.hash())
        .bind(user.as_str())
        .bind(purpose.name())
        .bind(event)
        .bind(former_phone)
        .bind(now)
        .bind(now + purpose.life(at, now))
        .execute(database)
        .await?;
        Ok(token)
    }

    /// Revokes a token whose email did not go out.
    pub async fn revoke(database: &Database, token: &Token) -> Result<(), Error> {
        sqlx::query("DELETE FROM mail_tokens WHERE token_hash = $1")
            .bind(token.hash())
            .execute(database)
            .await?;
        Ok(())
    }

    /// The link that still stands, for a password reset. Looking uses nothing up.
    pub async fn find_reset(
        database: &Database,
        token: &Token,
        now: i64,
    ) -> Result<Option<Self>, Error> {
        Self::find(database, token, "reset_password", now).await
    }

    /// The link that still stands, to undo what happened. Looking uses nothing up.
    pub async fn find_not_me(
        database: &Database,
        token: &Token,
        now: i64,
    ) -> Result<Option<Self>, Error> {
        Self::find(database, token, "not_me", now).await
    }

    async fn find(
        database: &Database,
        token: &Token,
        purpose: &str,
        now: i64,
    ) -> Result<Option<Self>, Error> {
        let row = sqlx::query(
            "SELECT token_hash, user_id, event, former_phone, created_at FROM mail_tokens \
             WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3",
        )
        .bind(token.hash())
        .bind(purpose)
        .bind(now)
        .fetch_optional(database)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let event: Option<String> = row.try_get("event")?;
        let purpose = match event {
            None => Purpose::ResetPassword,
            Some(event) => Purpose::NotMe {
                event: serde_json::from_str(&event)
                    .map_err(|error| Error::Json(error.to_string()))?,
                former_phone: row.try_get("former_phone")?,
            },
        };
        Ok(Some(Self {
            token_hash: row.try_get("token_hash")?,
            user_id: UserId::from_column(row.try_get("user_id")?),
            purpose,
            created_at: row.try_get("created_at")?,
        }))
    }

    /// Uses the link up, within the transaction of what it is for. Returns
    /// whether it still stood: of any number of parallel uses, one is told yes.
    ///
    /// With a reset go the user's other resets. With "this was not me" go all the
    /// user's links, those to a new password too, since somebody else may have
    /// asked for one; but links that bring a number back only go with one of
    /// their kind. Else an intruder who reads the mail could use up a harmless
    /// link, and the owner could not get the number back any more.
    pub async fn consume(&self, connection: &mut Connection, now: i64) -> Result<bool, Error> {
        let done = sqlx::query("DELETE FROM mail_tokens WHERE token_hash = $1 AND expires_at > $2")
            .bind(&self.token_hash)
            .bind(now)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let others = match &self.purpose {
            Purpose::ResetPassword => {
                Self::delete_resets(connection, &self.user_id).await?;
                return Ok(true);
            }
            Purpose::NotMe { event, .. } if event.restores_phone() => {
                sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1")
            }
            Purpose::NotMe { .. } => {
                sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1 AND former_phone IS NULL")
            }
        };
        let others = others.bind(self.user_id.as_str());
        others.execute(connection).await?;
        Ok(true)
    }

    /// Whether one of a user's links tells of the recovery codes what its owner may
    /// deny, [`Event::doubts_recovery_codes`]. Asked whichever of the links is used,
    /// since it takes the others with it.
    pub async fn doubts_recovery_codes(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT created_at FROM mail_tokens WHERE user_id = $1 AND expires_at > $2 \
             AND event IN ($3, $4, $5) LIMIT 1",
        )
        .bind(user.as_str())
        .bind(now)
        .bind(to_json(Event::TwoFactorEnabled)?)
        .bind(to_json(Event::RecoveryCodeUsed)?)
        .bind(to_json(Event::RecoveryCodesRenewed)?)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }

    /// Uses up all of a user's links to a new password, sent or not.
    pub async fn delete_resets(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
        sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1 AND purpose = 'reset_password'")
            .bind(user.as_str())
            .execute(&mut *connection)
            .await?;
        // One that still waits to be sent would make a link anew.
        sqlx::query("DELETE FROM outbox WHERE user_id = $1 AND mail = $2")
            .bind(user.as_str())
            .bind(Mail::ResetPassword.to_json()?)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// An event as its column holds it.
fn to_json(event: Event) -> Result<String, Error> {
    serde_json::to_string(&event).map_err(|error| Error::Json(error.to_string()))
}
