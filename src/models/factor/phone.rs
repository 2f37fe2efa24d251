//! A phone as a factor: Twilio sends it codes.

use crate::models::factor::Factor;
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// Seconds for which an added phone number counts as new.
const NEW_PHONE: i64 = 24 * 60 * 60;

impl Factor {
    /// Adds a phone, in place of the one before it. The caller's transaction holds the account's
    /// row and has increased its `auth_version`.
    pub async fn add_phone(
        connection: &mut Connection,
        user: &UserId,
        number: &str,
        now: i64,
    ) -> Result<()> {
        sqlx::query(
            r"UPDATE factors
            SET removed_at = $1
            WHERE user_id = $2 AND kind = 'phone' AND removed_at IS NULL",
        )
        .bind(now)
        .bind(user.as_str())
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            r"INSERT INTO factors (id, user_id, kind, name, phone, last_step, created_at)
            VALUES ($1, $2, 'phone', '', $3, 0, $4)",
        )
        .bind(random_id()?)
        .bind(user.as_str())
        .bind(number)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Whether the account's phone was added less than a day ago. Ignores a time in the
    /// future, which a wrong clock wrote.
    pub async fn has_new_phone(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            r"SELECT created_at
            FROM factors
            WHERE user_id = $1 AND kind = 'phone' AND removed_at IS NULL
                AND created_at > $2 AND created_at <= $3",
        )
        .bind(user.as_str())
        .bind(now - NEW_PHONE)
        .bind(now)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }
}
