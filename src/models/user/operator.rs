//! The operator's actions on an account.

use sqlx::FromRow;

use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Result};

/// An account's state, besides [`User`].
#[derive(Debug, Clone, FromRow)]
pub struct Overview {
    /// When the account was created, in Unix seconds.
    pub created_at: i64,
    /// When the operator locked the account, in Unix seconds.
    pub locked_at: Option<i64>,
    pub recovery_codes: i64,
    /// Active logins.
    pub sessions: i64,
    /// Browsers that have logged in.
    pub devices: i64,
    /// Those among them that need no code.
    pub trusted_devices: i64,
}

impl User {
    pub async fn overview(database: &Database, id: &UserId, now: i64) -> Result<Option<Overview>> {
        Ok(sqlx::query_as(
            r"SELECT
              created_at,
              locked_at,
              (SELECT COUNT(*)
               FROM recovery_codes
               WHERE user_id = users.id AND used_at IS NULL) AS recovery_codes,
              (SELECT COUNT(*)
               FROM sessions
               WHERE user_id = users.id
                 AND expires_at > $1
                 AND idle_expires_at > $1) AS sessions,
              (SELECT COUNT(*)
               FROM devices
               WHERE user_id = users.id) AS devices,
              (SELECT COUNT(*)
               FROM devices
               WHERE user_id = users.id
                 AND trusted_until > $1
                 AND auth_version = users.auth_version) AS trusted_devices
            FROM users
            WHERE id = $2",
        )
        .bind(now)
        .bind(id.as_str())
        .fetch_optional(database)
        .await?)
    }

    /// Locks the account until [`User::unlock_account`]. A login whose password was checked just
    /// before fails. Returns whether the account was unlocked.
    pub async fn lock_account(connection: &mut Connection, id: &UserId, now: i64) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET locked_at = $1, auth_version = auth_version + 1
            WHERE id = $2 AND locked_at IS NULL",
        )
        .bind(now)
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Unlocks the account. Returns whether it was locked.
    pub async fn unlock_account(connection: &mut Connection, id: &UserId) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET locked_at = NULL
            WHERE id = $1 AND locked_at IS NOT NULL",
        )
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes all pending logins fail.
    pub async fn bump_auth_version(connection: &mut Connection, id: &UserId) -> Result<()> {
        sqlx::query(
            r"UPDATE users
            SET auth_version = auth_version + 1
            WHERE id = $1",
        )
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Deletes the account with all its data. Rate limits stay: they contain only hashes and
    /// expire within a day.
    pub async fn delete(connection: &mut Connection, id: &UserId) -> Result<()> {
        sqlx::query(
            r"DELETE FROM reset_requests
            WHERE email_key = (SELECT email_key FROM users WHERE id = $1)",
        )
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
        // Foreign keys delete the rows of all other tables.
        sqlx::query("DELETE FROM users WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}
