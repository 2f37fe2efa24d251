//! The logins of one account, which the security page lists and ends.

use sqlx::FromRow;

use crate::models::challenge::id::ChallengeId;
use crate::models::device::id::DeviceId;
use crate::models::session::{SessionId, SessionRow};
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// An active login. Rows that are older than their columns have no address and user agent.
#[derive(Debug, Clone, FromRow)]
pub struct Login {
    pub id: SessionId,
    /// None for a login from before devices were recorded.
    pub device_id: Option<DeviceId>,
    /// The client's address at the start.
    pub address: Option<String>,
    /// The client's user agent at the start.
    pub user_agent: Option<String>,
    #[sqlx(rename = "created_at")]
    pub started_at: i64,
    /// The last activity, to the minute.
    pub last_active_at: i64,
}

/// The most logins that are listed, and that are counted.
const LISTED: usize = 50;
const COUNTED: i64 = 1051;

/// An account's active logins.
#[derive(Debug)]
pub struct Logins {
    /// The most recently active first. The login of the request is always included.
    pub listed: Vec<Login>,
    /// How many more there are, up to a thousand.
    pub more: usize,
}

impl Login {
    /// An account's active logins. `this` is the login of the request.
    pub async fn active(
        connection: &mut Connection,
        user: &UserId,
        this: &SessionId,
        now: i64,
    ) -> Result<Logins> {
        let mut listed: Vec<Self> = sqlx::query_as(
            r"SELECT id, device_id, address, user_agent, created_at, last_active_at
            FROM sessions
            WHERE user_id = $1 AND expires_at > $2 AND idle_expires_at > $2
            ORDER BY last_active_at DESC, created_at DESC, id
            LIMIT 50",
        )
        .bind(user.as_str())
        .bind(now)
        .fetch_all(&mut *connection)
        .await?;
        if listed.len() < LISTED {
            return Ok(Logins { listed, more: 0 });
        }
        if !listed.iter().any(|it| it.id == *this) {
            listed.pop();
            let this: Option<Self> = sqlx::query_as(
                r"SELECT id, device_id, address, user_agent, created_at, last_active_at
                FROM sessions
                WHERE id = $1",
            )
            .bind(this.as_str())
            .fetch_optional(&mut *connection)
            .await?;
            listed.splice(0..0, this);
        }
        let counted: i64 = sqlx::query_scalar(
            r"SELECT COUNT(*) FROM (
                SELECT 1 FROM sessions
                WHERE user_id = $1 AND expires_at > $2 AND idle_expires_at > $2
                LIMIT $3
            ) active",
        )
        .bind(user.as_str())
        .bind(now)
        .bind(COUNTED)
        .fetch_one(connection)
        .await?;
        let counted = usize::try_from(counted).unwrap_or(0);
        let more = counted.saturating_sub(listed.len());
        Ok(Logins { listed, more })
    }
}

/// A login that was ended.
#[derive(Debug, FromRow)]
pub struct Ended {
    #[sqlx(rename = "challenge_id")]
    pub challenge: Option<ChallengeId>,
}

impl SessionRow {
    /// Ends one of a user's sessions. `None` if the user has no such session.
    pub async fn end_one(
        connection: &mut Connection,
        user: &UserId,
        id: &SessionId,
    ) -> Result<Option<Ended>> {
        Ok(sqlx::query_as(
            r"DELETE FROM sessions
            WHERE id = $1 AND user_id = $2
            RETURNING challenge_id",
        )
        .bind(id.as_str())
        .bind(user.as_str())
        .fetch_optional(connection)
        .await?)
    }

    /// Ends all of a user's sessions but one.
    pub async fn end_others(
        connection: &mut Connection,
        user: &UserId,
        keep: &SessionId,
    ) -> Result<Vec<Ended>> {
        Ok(sqlx::query_as(
            r"DELETE FROM sessions
            WHERE user_id = $1 AND id <> $2
            RETURNING challenge_id",
        )
        .bind(user.as_str())
        .bind(keep.as_str())
        .fetch_all(connection)
        .await?)
    }

    pub async fn end_all(connection: &mut Connection, user: &UserId) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind(user.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}
