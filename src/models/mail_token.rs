//! Links in emails. The database holds only their hash, and each works once.

use sqlx::Row;
use strum::AsRefStr;

use crate::models::outbox::{Mail, NoticeKind};
use crate::models::rate_limit::RESET_LIFE;
use crate::models::token::Token;
use crate::models::user::UserId;
use crate::models::{Connection, Database, NOT_ME_LIFE, Result, UNDO_WINDOW};

#[derive(Debug, Clone, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum LinkPurpose {
    /// To set a new password.
    ResetPassword,
    /// To undo the event of a notice.
    NotMe { event: NoticeKind },
}

impl LinkPurpose {
    /// Whether the link undoes a change of factors.
    const fn undoes_factors(&self) -> bool {
        match self {
            Self::ResetPassword => false,
            Self::NotMe { event } => event.changes_factors(),
        }
    }

    /// How long a link that is sent `now` lives, in seconds. A link that undoes an event
    /// never outlives [`UNDO_WINDOW`] from the time of the event, `at`.
    pub fn life(&self, at: i64, now: i64) -> i64 {
        match self {
            Self::ResetPassword => RESET_LIFE,
            Self::NotMe { .. } => NOT_ME_LIFE.min(at + UNDO_WINDOW - now),
        }
    }
}

/// The outcome of [`MailToken::consume`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkUse {
    /// The link was valid and is now consumed.
    Consumed,
    /// The link was consumed before, was revoked or has expired.
    Expired,
}

#[derive(Debug, Clone)]
pub struct MailToken {
    token_hash: String,
    pub user_id: UserId,
    pub purpose: LinkPurpose,
    /// The time of the event of "this wasn't me", in Unix seconds.
    pub event_at: i64,
}

impl MailToken {
    /// An identifier of the link that grants nothing, for its form: the beginning of the
    /// token's hash.
    pub fn name(&self) -> &str {
        self.token_hash.get(..16).unwrap_or_default()
    }

    /// Generates the token of a link about an event `at` a time, and stores its hash.
    pub async fn issue(
        database: &Database,
        user: &UserId,
        purpose: &LinkPurpose,
        at: i64,
        now: i64,
    ) -> Result<Token> {
        let token = Token::generate()?;
        let event = match purpose {
            LinkPurpose::ResetPassword => None,
            LinkPurpose::NotMe { event } => Some(event),
        };
        let event = event.map(serde_json::to_string).transpose()?;
        sqlx::query(
            r"INSERT INTO mail_tokens
                (token_hash, user_id, purpose, event, event_at, undoes_factors, created_at,
                 expires_at)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(token.hash())
        .bind(user.as_str())
        .bind(purpose.as_ref())
        .bind(event)
        .bind(at)
        .bind(i64::from(purpose.undoes_factors()))
        .bind(now)
        .bind(now + purpose.life(at, now))
        .execute(database)
        .await?;
        Ok(token)
    }

    /// Revokes a token whose email was not sent.
    pub async fn revoke(database: &Database, token: &Token) -> Result<()> {
        sqlx::query("DELETE FROM mail_tokens WHERE token_hash = $1")
            .bind(token.hash())
            .execute(database)
            .await?;
        Ok(())
    }

    /// Finds the valid link of a password reset, without consuming it.
    pub async fn find_reset(database: &Database, token: &Token, now: i64) -> Result<Option<Self>> {
        Self::find(database, token, "reset_password", now).await
    }

    /// Finds the valid "this wasn't me" link, without consuming it.
    pub async fn find_not_me(database: &Database, token: &Token, now: i64) -> Result<Option<Self>> {
        Self::find(database, token, "not_me", now).await
    }

    async fn find(
        database: &Database,
        token: &Token,
        purpose: &str,
        now: i64,
    ) -> Result<Option<Self>> {
        let row = sqlx::query(
            r"SELECT token_hash, user_id, event, event_at
              FROM mail_tokens
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
            None => LinkPurpose::ResetPassword,
            Some(event) => LinkPurpose::NotMe {
                event: serde_json::from_str(&event)?,
            },
        };
        Ok(Some(Self {
            token_hash: row.try_get("token_hash")?,
            user_id: row.try_get("user_id")?,
            purpose,
            event_at: row.try_get("event_at")?,
        }))
    }

    /// Consumes the link in the caller's transaction. Of parallel calls, one succeeds.
    ///
    /// A reset consumes the user's other resets. "This wasn't me" consumes all the user's
    /// links, resets included, since an intruder may have requested one. Only a link that
    /// undoes a change of factors consumes others that do: otherwise an intruder who reads the
    /// emails could use a harmless link, and the owner could not undo the change.
    pub async fn consume(&self, connection: &mut Connection, now: i64) -> Result<LinkUse> {
        let done = sqlx::query("DELETE FROM mail_tokens WHERE token_hash = $1 AND expires_at > $2")
            .bind(&self.token_hash)
            .bind(now)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(LinkUse::Expired);
        }
        if self.purpose == LinkPurpose::ResetPassword {
            Self::delete_resets(connection, &self.user_id).await?;
            return Ok(LinkUse::Consumed);
        }
        sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1 AND undoes_factors <= $2")
            .bind(self.user_id.as_str())
            .bind(i64::from(self.purpose.undoes_factors()))
            .execute(connection)
            .await?;
        Ok(LinkUse::Consumed)
    }

    /// Whether one of a user's links is about an event in which an intruder may have used or made
    /// recovery codes. Turning two-factor authentication on makes a set, too. It does not matter
    /// which link is used, since that consumes the others.
    pub async fn may_compromise_recovery_codes(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            r"SELECT created_at
              FROM mail_tokens
              WHERE user_id = $1 AND expires_at > $2 AND event IN ($3, $4, $5)
              LIMIT 1",
        )
        .bind(user.as_str())
        .bind(now)
        .bind(serde_json::to_string(&NoticeKind::TwoFactorEnabled)?)
        .bind(serde_json::to_string(&NoticeKind::RecoveryCodeUsed)?)
        .bind(serde_json::to_string(&NoticeKind::RecoveryCodesRenewed)?)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }

    /// Revokes all of a user's password resets, sent or queued.
    pub async fn delete_resets(connection: &mut Connection, user: &UserId) -> Result<()> {
        sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1 AND purpose = 'reset_password'")
            .bind(user.as_str())
            .execute(&mut *connection)
            .await?;
        // A queued email would issue a new link.
        sqlx::query("DELETE FROM outbox WHERE user_id = $1 AND mail = $2")
            .bind(user.as_str())
            .bind(serde_json::to_string(&Mail::ResetPassword)?)
            .execute(connection)
            .await?;
        Ok(())
    }
}
