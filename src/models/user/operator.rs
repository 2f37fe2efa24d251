//! What the operator does to an account.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Error};

/// What the operator is shown of an account besides [`User`].
#[derive(Debug, Clone)]
pub struct Overview {
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// Since when it is locked, if it is.
    pub locked_at: Option<i64>,
    /// Recovery codes that were not used yet.
    pub recovery_codes: i64,
    /// Living log-ins.
    pub sessions: i64,
}

impl FromRow<'_, AnyRow> for Overview {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            created_at: row.try_get("created_at")?,
            locked_at: row.try_get("locked_at")?,
            recovery_codes: row.try_get("recovery_codes")?,
            sessions: row.try_get("sessions")?,
        })
    }
}

impl User {
    /// What the operator is shown of the account.
    pub async fn overview(
        database: &Database,
        id: &UserId,
        now: i64,
    ) -> Result<Option<Overview>, Error> {
        Ok(sqlx::query_as(
            "SELECT created_at, locked_at, \
             (SELECT COUNT(*) FROM recovery_codes \
             WHERE user_id = users.id AND used_at IS NULL) AS recovery_codes, \
             (SELECT COUNT(*) FROM sessions WHERE user_id = users.id \
             AND expires_at > $1 AND idle_expires_at > $1) AS sessions \
             FROM users WHERE id = $2",
        )
        .bind(now)
        .bind(id.as_str())
        .fetch_optional(database)
        .await?)
    }

    /// Keeps everybody out of the account until [`User::let_in`]. A log-in that was
    /// checked just before ends here. Returns whether the account was open.
    pub async fn lock_out(
        connection: &mut Connection,
        id: &UserId,
        now: i64,
    ) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE users SET locked_at = $1, auth_version = auth_version + 1 \
             WHERE id = $2 AND locked_at IS NULL",
        )
        .bind(now)
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Opens a locked account again. Returns whether it was locked.
    pub async fn let_in(connection: &mut Connection, id: &UserId) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE users SET locked_at = NULL WHERE id = $1 AND locked_at IS NOT NULL",
        )
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes the account another one than any log-in under way was checked against.
    pub async fn outdate_logins(connection: &mut Connection, id: &UserId) -> Result<(), Error> {
        sqlx::query("UPDATE users SET auth_version = auth_version + 1 WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Switches the second step off, and forgets every way in which the number could
    /// come back: the former one in the account and in mailed links (for the mails
    /// that are still to be sent see `Mail::forget_former_phones`). Returns whether it
    /// was on; where it was off, nothing changes, so that a mailed link may still
    /// bring the number back that somebody else removed.
    pub async fn reset_two_factor(connection: &mut Connection, id: &UserId) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE users SET verification_phone = NULL, former_phone = NULL, \
             phone_changed_at = NULL, auth_version = auth_version + 1 \
             WHERE id = $1 AND verification_phone IS NOT NULL",
        )
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1 AND former_phone IS NOT NULL")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(true)
    }

    /// Deletes the account and everything of it. Rate limits name nobody, and expire within
    /// a day.
    pub async fn delete(connection: &mut Connection, id: &UserId) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM reset_requests \
             WHERE email_key = (SELECT email_key FROM users WHERE id = $1)",
        )
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
        // All other tables follow by their foreign keys.
        sqlx::query("DELETE FROM users WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}
