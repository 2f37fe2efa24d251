//! Sessions. The id of a row is no secret; the cookie's token is, and the database holds only
//! its hash. A session that has ended has no row, and only the two INSERTs create rows.

mod logins;
mod reader;

pub use logins::{Ended, Login, Logins};
pub use reader::SessionReader;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::models::challenge::id::ChallengeId;
use crate::models::client::Client;
use crate::models::device::id::DeviceId;
use crate::models::token::{Token, can_be_id, random_id};
use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Result};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Seconds until a session without a login expires.
const ANONYMOUS_LIFE: i64 = HOUR;

/// Seconds between two records of a session's activity.
const ACTIVITY_INTERVAL: i64 = MINUTE;

/// How long a session lives, in seconds.
#[derive(Debug, Clone, Copy)]
struct Life {
    absolute: i64,
    idle: i64,
}

impl Life {
    const fn new(is_login: bool, remember: bool) -> Self {
        let (absolute, idle) = match (is_login, remember) {
            (false, _) => (ANONYMOUS_LIFE, ANONYMOUS_LIFE),
            (true, false) => (7 * DAY, 12 * HOUR),
            (true, true) => (30 * DAY, 14 * DAY),
        };
        Self { absolute, idle }
    }
}

/// The id of a session, which links may contain.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// An id from a request, if its characters are valid.
    pub fn received(text: &str) -> Option<Self> {
        can_be_id(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// An active session, with its user if it is a login.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub id: SessionId,
    /// The hash of the request's cookie.
    token_hash: String,
    /// The user, and when they last authenticated in full. On a trusted device that may be
    /// never.
    pub login: Option<(User, Option<i64>)>,
    /// The session's open challenge.
    pub challenge_id: Option<ChallengeId>,
    /// Whether the cookie outlives the browser.
    pub remember: bool,
    /// Flash messages, as JSON.
    pub data: String,
    pub last_active_at: i64,
    /// The latest end.
    pub expires_at: i64,
}

/// A new cookie.
pub struct Issued {
    pub token: Token,
    /// Its life in seconds; none if it ends with the browser.
    pub max_age: Option<i64>,
    /// The token of the browser's device cookie, if a login issued one.
    pub device: Option<Token>,
}

/// A login to begin.
pub(in crate::models) struct NewSession<'a> {
    pub user: &'a UserId,
    pub device: &'a DeviceId,
    /// Whether it counts as a full authentication.
    pub is_authenticated: bool,
    /// Whether the cookie outlives the browser.
    pub remember: bool,
    pub client: &'a Client,
}

/// Reads a row of either driver, by the numbers of its columns: the drivers look up each name
/// in all names, which takes longer than to find the row.
macro_rules! read {
    ($row:ident . $get:ident) => {{
        let user_id: Option<String> = $row.$get(2)?;
        let login = match user_id {
            Some(id) => {
                let user = User {
                    id: UserId::from_column(id),
                    username: $row.$get(9)?,
                    email: $row.$get(10)?,
                    auth_version: $row.$get(11)?,
                    about_me: $row.$get(12)?,
                    last_seen_at: $row.$get(13)?,
                    factors: $row.$get(14)?,
                    phone: $row.$get(15)?,
                };
                Some((user, $row.$get(4)?))
            }
            None => None,
        };
        let (id, challenge_id): (String, Option<String>) = ($row.$get(0)?, $row.$get(3)?);
        let remember: i64 = $row.$get(5)?;
        Ok(Self {
            id: id.into(),
            token_hash: $row.$get(1)?,
            login,
            challenge_id: challenge_id.map(ChallengeId::from),
            remember: remember != 0,
            data: $row.$get(6)?,
            last_active_at: $row.$get(7)?,
            expires_at: $row.$get(8)?,
        })
    }};
}

impl SessionRow {
    /// The active session of a cookie, with its user: one query.
    pub async fn find(reader: &SessionReader, token: &Token, now: i64) -> Result<Option<Self>> {
        let statement = r"SELECT s.id, s.token_hash, s.user_id, s.challenge_id, s.authenticated_at,
                s.remember, s.data, s.last_active_at, s.expires_at,
                u.username, u.email, u.auth_version, u.about_me, u.last_seen_at,
                (SELECT COUNT(*) FROM factors f
                 WHERE f.user_id = u.id AND f.removed_at IS NULL) AS factors,
                (SELECT f.phone FROM factors f
                 WHERE f.user_id = u.id AND f.removed_at IS NULL AND f.kind = 'phone') AS phone
            FROM sessions s
            LEFT JOIN users u ON u.id = s.user_id
            WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.idle_expires_at > $2";
        Ok(reader.find(statement, &token.hash(), now).await?)
    }

    fn from_any(row: &AnyRow) -> Result<Self, sqlx::Error> {
        read!(row.try_get)
    }

    fn from_sqlite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        read!(row.get)
    }

    /// Begins a session without a login: for a flash message or a login's challenge.
    pub async fn begin_anonymous(
        connection: &mut Connection,
        challenge: Option<&ChallengeId>,
        data: &str,
        now: i64,
    ) -> Result<Issued> {
        let life = Life::new(false, false);
        let token = Token::generate()?;
        sqlx::query(
            r"INSERT INTO sessions (id, token_hash, challenge_id, remember, data,
                created_at, last_active_at, idle_expires_at, expires_at)
            VALUES ($1, $2, $3, 0, $4, $5, $5, $6, $7)",
        )
        .bind(random_id()?)
        .bind(token.hash())
        .bind(challenge.map(ChallengeId::as_str))
        .bind(data)
        .bind(now)
        .bind(now + life.idle)
        .bind(now + life.absolute)
        .execute(connection)
        .await?;
        Ok(Issued {
            token,
            max_age: None,
            device: None,
        })
    }

    /// Begins a login. The caller holds the lock of the account's row.
    pub(in crate::models) async fn begin_login(
        connection: &mut Connection,
        new: NewSession<'_>,
        now: i64,
    ) -> Result<Issued> {
        let life = Life::new(true, new.remember);
        let token = Token::generate()?;
        sqlx::query(
            r"INSERT INTO sessions (id, token_hash, user_id, device_id, authenticated_at, remember,
                data, created_at, last_active_at, idle_expires_at, expires_at, address, user_agent)
            VALUES ($1, $2, $3, $4, $5, $6, '{}', $7, $7, $8, $9, $10, $11)",
        )
        .bind(random_id()?)
        .bind(token.hash())
        .bind(new.user.as_str())
        .bind(new.device.as_str())
        .bind(new.is_authenticated.then_some(now))
        .bind(i64::from(new.remember))
        .bind(now)
        .bind(now + life.idle)
        .bind(now + life.absolute)
        .bind(new.client.address.to_string())
        .bind(&new.client.user_agent)
        .execute(connection)
        .await?;
        Ok(Issued {
            token,
            max_age: new.remember.then_some(life.absolute),
            device: None,
        })
    }

    /// Replaces the token of a login and its open challenge, and the time of its authentication
    /// if there is a new one. `None` if the session ended or got another token meanwhile: a
    /// request with a dead cookie must not get a valid one.
    pub async fn renew(
        &self,
        connection: &mut Connection,
        authenticated_at: Option<i64>,
        challenge: Option<&ChallengeId>,
        now: i64,
    ) -> Result<Option<Issued>> {
        let token = Token::generate()?;
        let done = sqlx::query(
            r"UPDATE sessions
            SET token_hash = $1, authenticated_at = COALESCE($2, authenticated_at), challenge_id = $3
            WHERE id = $4 AND token_hash = $5 AND user_id IS NOT NULL",
        )
        .bind(token.hash())
        .bind(authenticated_at)
        .bind(challenge.map(ChallengeId::as_str))
        .bind(self.id.as_str())
        .bind(&self.token_hash)
        .execute(connection)
        .await?;
        // The session's end stays, so the cookie lives for the rest.
        let max_age = self.remember.then_some(self.expires_at - now);
        Ok((done.rows_affected() == 1).then_some(Issued {
            token,
            max_age,
            device: None,
        }))
    }

    pub const fn is_touch_due(&self, now: i64) -> bool {
        self.last_active_at > now || now - self.last_active_at >= ACTIVITY_INTERVAL
    }

    /// Records activity, which alone extends the idle time.
    pub async fn touch(&self, database: &Database, now: i64) -> Result<()> {
        let life = Life::new(self.login.is_some(), self.remember);
        sqlx::query(
            r"UPDATE sessions
            SET last_active_at = $1, idle_expires_at = $2
            WHERE id = $3 AND (last_active_at <= $4 OR last_active_at > $1)",
        )
        .bind(now)
        .bind(now + life.idle)
        .bind(self.id.as_str())
        .bind(now - ACTIVITY_INTERVAL)
        .execute(database)
        .await?;
        if self.login.is_some() {
            sqlx::query(
                r"UPDATE devices
                SET last_seen_at = $1
                WHERE id = (SELECT device_id FROM sessions WHERE id = $2)",
            )
            .bind(now)
            .bind(self.id.as_str())
            .execute(database)
            .await?;
        }
        Ok(())
    }

    /// Replaces the data of a session. One that has ended stays ended.
    pub async fn save_data(database: &Database, id: &SessionId, data: &str) -> Result<()> {
        sqlx::query("UPDATE sessions SET data = $1 WHERE id = $2")
            .bind(data)
            .bind(id.as_str())
            .execute(database)
            .await?;
        Ok(())
    }

    /// Sets the data of the session of a new cookie.
    pub async fn set_data(connection: &mut Connection, issued: &Issued, data: &str) -> Result<()> {
        sqlx::query("UPDATE sessions SET data = $1 WHERE token_hash = $2")
            .bind(data)
            .bind(issued.token.hash())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Detaches the open challenge from the session.
    pub async fn detach_challenge(connection: &mut Connection, id: &SessionId) -> Result<()> {
        sqlx::query("UPDATE sessions SET challenge_id = NULL WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Whether the session is still active with the request's token. A request checks this
    /// before it ends other sessions or changes the account, in a transaction that holds the
    /// account's row: if two sessions end each other, one succeeds.
    pub async fn is_active(&self, connection: &mut Connection) -> Result<bool> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM sessions WHERE id = $1 AND token_hash = $2")
                .bind(self.id.as_str())
                .bind(&self.token_hash)
                .fetch_optional(connection)
                .await?;
        Ok(found.is_some())
    }

    /// Ends a session. Returns whether it was active.
    pub async fn end(connection: &mut Connection, id: &SessionId) -> Result<bool> {
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
