//! The rows behind the cookies. The row's id names a session and is no secret;
//! the cookie's token opens it, and only its hash is kept. A session that has
//! ended has no row, and no statement here but the two INSERTs makes one.

mod of_user;

pub use of_user::{Ended, LogIn, LogIns};

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::models::challenge::id::ChallengeId;
use crate::models::client::Client;
use crate::models::readers::Readers;
use crate::models::token::Token;
use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Error};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The longest life of a row that is no log-in.
const ANONYMOUS_LIFE: i64 = HOUR;

/// Activity is noted at most once in so many seconds.
pub const ACTIVITY_INTERVAL: i64 = MINUTE;

/// How long a session lives, in seconds.
#[derive(Debug, Clone, Copy)]
struct Life {
    absolute: i64,
    idle: i64,
}

impl Life {
    const fn of(logged_in: bool, remember: bool) -> Self {
        match (logged_in, remember) {
            (false, _) => Self {
                absolute: ANONYMOUS_LIFE,
                idle: ANONYMOUS_LIFE,
            },
            (true, false) => Self {
                absolute: 7 * DAY,
                idle: 12 * HOUR,
            },
            (true, true) => Self {
                absolute: 30 * DAY,
                idle: 14 * DAY,
            },
        }
    }
}

/// What names a session, in links too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// What somebody sent as an id, if it can be one: PostgreSQL fails where it is
    /// asked for some of what cannot.
    pub fn received(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        text.bytes().all(fits).then(|| Self(text.to_owned()))
    }

    /// The id as the database holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// A living session, with its user where it is a log-in.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// What names it.
    pub id: SessionId,
    /// Of the cookie that opened it.
    token_hash: String,
    /// Who is logged in, and when that was last proved.
    pub login: Option<(User, i64)>,
    /// The verification that is open in it.
    pub challenge_id: Option<ChallengeId>,
    /// Whether the cookie outlives the browser.
    pub remember: bool,
    /// JSON: messages for the next page.
    pub data: String,
    /// The last noted activity.
    pub last_active_at: i64,
    /// Its end, whatever happens.
    pub expires_at: i64,
}

/// A new token for a cookie, and how long the cookie lives.
pub struct Issued {
    /// What the cookie says.
    pub token: Token,
    /// Seconds, or none for a cookie that ends with the browser.
    pub max_age: Option<i64>,
}

impl SessionRow {
    /// The living session that a cookie opens, with its user: one query.
    pub async fn find(readers: &Readers, token: &Token, now: i64) -> Result<Option<Self>, Error> {
        let statement = "SELECT s.id, s.token_hash, s.user_id, s.challenge_id, s.authenticated_at, s.remember, s.data, \
             s.last_active_at, s.expires_at, u.username, u.email, u.auth_version, \
             u.verification_phone, u.about_me, u.last_seen_at \
             FROM sessions s LEFT JOIN users u ON u.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.idle_expires_at > $2";
        let hash = token.hash();
        let query = || sqlx::query(statement).bind(hash.clone()).bind(now);
        let row = readers.fetch_optional(query).await?;
        Ok(row.map(|row| Self::read(&row)).transpose()?)
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let authenticated_at: Option<i64> = row.try_get("authenticated_at")?;
        let login = match authenticated_at {
            Some(at) => Some((sqlx::FromRow::from_row(row)?, at)),
            None => None,
        };
        Ok(Self {
            id: SessionId(row.try_get("id")?),
            token_hash: row.try_get("token_hash")?,
            login,
            challenge_id: row
                .try_get::<Option<String>, _>("challenge_id")?
                .map(ChallengeId::from),
            remember: row.try_get::<i64, _>("remember")? != 0,
            data: row.try_get("data")?,
            last_active_at: row.try_get("last_active_at")?,
            expires_at: row.try_get("expires_at")?,
        })
    }

    /// Begins a session that is no log-in: for a message, or a half log-in.
    pub async fn begin_anonymous(
        connection: &mut Connection,
        id: &SessionId,
        challenge: Option<&ChallengeId>,
        data: &str,
        now: i64,
    ) -> Result<Issued, Error> {
        let life = Life::of(false, false);
        let token = Token::generate()?;
        sqlx::query(
            "INSERT INTO sessions (id, token_hash, challenge_id, remember, data, created_at, \
             last_active_at, idle_expires_at, expires_at) \
             VALUES ($1, $2, $3, 0, $4, $5, $5, $6, $7)",
        )
        .bind(id.as_str())
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
        })
    }

    /// Begins a log-in, if the account still is what `auth_version` says: a
    /// log-in that was checked just before a change of password or factor must
    /// not outlive it. `None` when it is not. The account's row is locked first:
    /// on PostgreSQL a change under way would else neither be seen here nor see
    /// the session that it has to end.
    pub async fn begin_login(
        connection: &mut Connection,
        id: &SessionId,
        user: &UserId,
        auth_version: i64,
        remember: bool,
        client: &Client,
        now: i64,
    ) -> Result<Option<Issued>, Error> {
        let life = Life::of(true, remember);
        let token = Token::generate()?;
        if !User::lock(connection, user, auth_version).await? {
            return Ok(None);
        }
        let done = sqlx::query(
            "INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, data, \
             created_at, last_active_at, idle_expires_at, expires_at, address, user_agent) \
             SELECT $1, $2, u.id, $3, $4, '{}', $3, $3, $5, $6, $7, $8 FROM users u \
             WHERE u.id = $9 AND u.auth_version = $10",
        )
        .bind(id.as_str())
        .bind(token.hash())
        .bind(now)
        .bind(i64::from(remember))
        .bind(now + life.idle)
        .bind(now + life.absolute)
        .bind(client.address.to_string())
        .bind(&client.user_agent)
        .bind(user.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        let max_age = remember.then_some(life.absolute);
        Ok((done.rows_affected() == 1).then_some(Issued { token, max_age }))
    }

    /// Gives a log-in a new token, so that the former one is dead at once, and
    /// sets which verification is open in it and when it was last proved.
    /// `None` when the session ended or got another token meanwhile: a request
    /// whose own cookie is dead must not be given a living one.
    pub async fn renew(
        &self,
        connection: &mut Connection,
        authenticated_at: i64,
        challenge: Option<&ChallengeId>,
        now: i64,
    ) -> Result<Option<Issued>, Error> {
        let token = Token::generate()?;
        let done = sqlx::query(
            "UPDATE sessions SET token_hash = $1, authenticated_at = $2, challenge_id = $3 \
             WHERE id = $4 AND token_hash = $5 AND user_id IS NOT NULL",
        )
        .bind(token.hash())
        .bind(authenticated_at)
        .bind(challenge.map(ChallengeId::as_str))
        .bind(self.id.as_str())
        .bind(&self.token_hash)
        .execute(connection)
        .await?;
        // The end of the session stays where it was: the cookie gets the rest.
        let max_age = self.remember.then_some(self.expires_at - now);
        Ok((done.rows_affected() == 1).then_some(Issued { token, max_age }))
    }

    /// Notes activity, which moves the idle end. Nothing else does.
    pub async fn touch(&self, database: &Database, now: i64) -> Result<(), Error> {
        let life = Life::of(self.login.is_some(), self.remember);
        sqlx::query(
            "UPDATE sessions SET last_active_at = $1, idle_expires_at = $2 \
             WHERE id = $3 AND (last_active_at <= $4 OR last_active_at > $1)",
        )
        .bind(now)
        .bind(now + life.idle)
        .bind(self.id.as_str())
        .bind(now - ACTIVITY_INTERVAL)
        .execute(database)
        .await?;
        Ok(())
    }

    /// Replaces the data of a living session; an ended one stays ended.
    pub async fn save_data(database: &Database, id: &SessionId, data: &str) -> Result<(), Error> {
        sqlx::query("UPDATE sessions SET data = $1 WHERE id = $2")
            .bind(data)
            .bind(id.as_str())
            .execute(database)
            .await?;
        Ok(())
    }

    /// Sets the data of the session whose token was just issued.
    pub async fn set_data(
        connection: &mut Connection,
        issued: &Issued,
        data: &str,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE sessions SET data = $1 WHERE token_hash = $2")
            .bind(data)
            .bind(issued.token.hash())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Forgets the verification that was open in the session.
    pub async fn forget_challenge(
        connection: &mut Connection,
        id: &SessionId,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE sessions SET challenge_id = NULL WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Whether the session lives still, and by the token that opened it. A request
    /// asks before it ends others or changes the account, in a transaction that holds
    /// the account's row: of two sessions that end each other at once, one does.
    pub async fn is_living(&self, connection: &mut Connection) -> Result<bool, Error> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM sessions WHERE id = $1 AND token_hash = $2")
                .bind(self.id.as_str())
                .bind(&self.token_hash)
                .fetch_optional(connection)
                .await?;
        Ok(found.is_some())
    }

    /// Ends a session. Returns whether it had not ended yet.
    pub async fn end(connection: &mut Connection, id: &SessionId) -> Result<bool, Error> {
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
