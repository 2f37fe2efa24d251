//! All the log-ins of one account: for its owner to see, and to end.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::challenge::id::ChallengeId;
use crate::models::session::{SessionId, SessionRow};
use crate::models::user::UserId;
use crate::models::{Connection, Error};

/// A living log-in, as its owner is shown it. Address and user agent are those of
/// its beginning, and missing in rows that are older than these columns.
#[derive(Debug, Clone)]
pub struct LogIn {
    /// What names it.
    pub id: SessionId,
    /// Where it came from.
    pub address: Option<String>,
    /// What the browser called itself.
    pub user_agent: Option<String>,
    /// When it began, in Unix seconds.
    pub started_at: i64,
    /// Its last activity, to the minute.
    pub last_active_at: i64,
}

impl FromRow<'_, AnyRow> for LogIn {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: SessionId::from(row.try_get::<String, _>("id")?),
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            started_at: row.try_get("created_at")?,
            last_active_at: row.try_get("last_active_at")?,
        })
    }
}

/// The most logins that are listed, and that are counted at all.
const LISTED: usize = 50;
const COUNTED: i64 = 1050;

/// An account's active logins.
#[derive(Debug)]
pub struct LogIns {
    /// The last active first, with the one that asks in any case.
    pub listed: Vec<LogIn>,
    /// How many more there are, up to a thousand.
    pub more: usize,
}

impl LogIn {
    /// An account's active logins, seen from `this` one.
    pub async fn active(
        connection: &mut Connection,
        user: &UserId,
        this: &SessionId,
        now: i64,
    ) -> Result<LogIns, Error> {
        let mut listed: Vec<Self> = sqlx::query_as(
            "SELECT id, address, user_agent, created_at, last_active_at FROM sessions
            WHERE user_id = $1 AND expires_at > $2 AND idle_expires_at > $2
            ORDER BY last_active_at DESC, created_at DESC, id
            LIMIT 50",
        )
        .bind(user.as_str())
        .bind(now)
        .fetch_all(&mut *connection)
        .await?;
        if listed.len() < LISTED {
            return Ok(LogIns { listed, more: 0 });
        }
        if !listed.iter().any(|it| it.id == *this) {
            listed.pop();
            let this: Option<Self> = sqlx::query_as(
                "SELECT id, address, user_agent, created_at, last_active_at FROM sessions
                WHERE id = $1",
            )
            .bind(this.as_str())
            .fetch_optional(&mut *connection)
            .await?;
            listed.splice(0..0, this);
        }
        let counted: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (
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
        let more = usize::try_from(counted)
            .unwrap_or(0)
            .saturating_sub(listed.len());
        Ok(LogIns { listed, more })
    }
}

/// A log-in that was ended.
#[derive(Debug)]
pub struct Ended {
    /// The verification that was begun in it.
    pub challenge: Option<ChallengeId>,
}

impl FromRow<'_, AnyRow> for Ended {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let challenge: Option<String> = row.try_get("challenge_id")?;
        Ok(Self {
            challenge: challenge.map(ChallengeId::from),
        })
    }
}

impl SessionRow {
    /// Ends one of a user's sessions. `None` where it is not theirs, or not there.
    pub async fn end_one(
        connection: &mut Connection,
        user: &UserId,
        id: &SessionId,
    ) -> Result<Option<Ended>, Error> {
        Ok(sqlx::query_as(
            "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING challenge_id",
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
    ) -> Result<Vec<Ended>, Error> {
        Ok(sqlx::query_as(
            "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING challenge_id",
        )
        .bind(user.as_str())
        .bind(keep.as_str())
        .fetch_all(connection)
        .await?)
    }

    /// Ends all of a user's sessions.
    pub async fn end_all(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
        sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind(user.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}
