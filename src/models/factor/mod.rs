//! Second factors: what a login requires besides the password. An account has two-factor
//! authentication while it has at least one.

mod authenticator;
mod delivery;
pub mod id;
mod phone;
mod recovery_codes;
mod sending;
mod undo;
mod verification;

pub use authenticator::{MAX_APPS, NewAuthenticator, UsedStep};
pub use delivery::{Delivery, SendMethod};
pub use id::FactorId;
pub use recovery_codes::RecoveryCode;
pub use undo::Undo;
pub use verification::{CodeSender, End, Verification};

use secrecy::SecretString;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::models::user::UserId;
use crate::models::{Connection, Database, Result};

/// Seconds for which a removed factor is kept, so that "this wasn't me" can restore it.
pub const KEPT_REMOVED: i64 = 30 * 24 * 60 * 60;

/// A row of the table `factors`.
#[derive(Debug, Clone)]
pub struct Factor {
    pub id: FactorId,
    pub kind: FactorKind,
    /// Unix seconds.
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    removed_at: Option<i64>,
}

/// The kind of a factor, with its data.
#[derive(Debug, Clone)]
pub enum FactorKind {
    Phone {
        /// In E.164.
        number: String,
    },
    Authenticator {
        /// The user's name for it.
        name: String,
        /// Sealed with `SECRET_KEY`.
        secret: SecretString,
        /// The time step of the last code, which no later one may repeat.
        last_step: i64,
    },
}

impl sqlx::FromRow<'_, AnyRow> for Factor {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let kind: &str = row.try_get("kind")?;
        let kind = match kind {
            "phone" => FactorKind::Phone {
                number: row.try_get("phone")?,
            },
            "authenticator" => FactorKind::Authenticator {
                name: row.try_get("name")?,
                secret: row.try_get::<String, _>("secret")?.into(),
                last_step: row.try_get("last_step")?,
            },
            other => return Err(sqlx::Error::Decode(format!("kind {other}").into())),
        };
        Ok(Self {
            id: row.try_get::<String, _>("id")?.into(),
            kind,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
            removed_at: row.try_get("removed_at")?,
        })
    }
}

impl Factor {
    /// The factors of an account, in the order in which they were added.
    pub async fn list(connection: &mut Connection, user: &UserId) -> Result<Vec<Self>> {
        Ok(sqlx::query_as(
            r"SELECT *
            FROM factors
            WHERE user_id = $1 AND removed_at IS NULL
            ORDER BY created_at, kind DESC, id",
        )
        .bind(user.as_str())
        .fetch_all(connection)
        .await?)
    }

    /// A factor of an account, by its id.
    pub async fn find(
        connection: &mut Connection,
        user: &UserId,
        id: &FactorId,
    ) -> Result<Option<Self>> {
        Ok(sqlx::query_as(
            r"SELECT *
            FROM factors
            WHERE id = $1 AND user_id = $2 AND removed_at IS NULL",
        )
        .bind(id.as_str())
        .bind(user.as_str())
        .fetch_optional(connection)
        .await?)
    }

    /// The factor that a login starts with: the one that was used last, at first an app.
    pub async fn first(database: &Database, user: &UserId) -> Result<Option<Self>> {
        let factors = Self::list(&mut *database.acquire().await?, user).await?;
        let factors = factors.into_iter();
        Ok(factors.max_by_key(|it| (it.last_used_at, it.is_app())))
    }

    /// Records that the factor was used.
    pub(in crate::models) async fn record_use(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<()> {
        sqlx::query("UPDATE factors SET last_used_at = $1 WHERE id = $2")
            .bind(now)
            .bind(self.id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// The number, if the factor is a phone.
    pub fn phone_number(&self) -> Option<&str> {
        match &self.kind {
            FactorKind::Phone { number } => Some(number),
            FactorKind::Authenticator { .. } => None,
        }
    }

    pub const fn is_app(&self) -> bool {
        matches!(self.kind, FactorKind::Authenticator { .. })
    }

    pub async fn remove(&self, connection: &mut Connection, now: i64) -> Result<()> {
        sqlx::query("UPDATE factors SET removed_at = $1 WHERE id = $2 AND removed_at IS NULL")
            .bind(now)
            .bind(self.id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Removes all factors of an account, which turns two-factor authentication off.
    pub async fn remove_all(connection: &mut Connection, user: &UserId, now: i64) -> Result<()> {
        sqlx::query(
            r"UPDATE factors
            SET removed_at = $1
            WHERE user_id = $2 AND removed_at IS NULL",
        )
        .bind(now)
        .bind(user.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Deletes all factors of an account, so that nothing restores them. Returns whether
    /// two-factor authentication was on. If it was off, nothing changes: an emailed link may
    /// still restore a factor that an intruder removed.
    pub async fn delete_all(connection: &mut Connection, user: &UserId) -> Result<bool> {
        let done = sqlx::query(
            r"DELETE FROM factors
            WHERE user_id = $1
                AND EXISTS (SELECT 1 FROM factors WHERE user_id = $1 AND removed_at IS NULL)",
        )
        .bind(user.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
