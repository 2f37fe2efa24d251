//! Devices: browsers that have logged in to an account. A cookie identifies the browser, and a
//! row for its token and the account makes it known to the account. A known device has its own
//! limit of wrong passwords, and may be trusted: then a login needs only the password.

pub mod id;

pub use id::DeviceId;

use sqlx::FromRow;

use crate::models::client::Client;
use crate::models::session::SessionId;
use crate::models::token::{Token, random_id};
use crate::models::user::UserId;
use crate::models::{Connection, Result};

const DAY: i64 = 24 * 60 * 60;

/// Seconds for which a cookie lives, and a device is kept after it was last seen. Browsers keep
/// no cookie longer.
pub const DEVICE_LIFE: i64 = 400 * DAY;

/// The most devices that an account keeps.
const KEPT: i64 = 30;

/// The browser of a request.
#[derive(Clone, Copy)]
pub struct Browser<'a> {
    pub client: &'a Client,
    /// The token of its cookie, which may be forged.
    pub device: Option<&'a Token>,
}

/// A row of the table `devices`.
#[derive(Debug, Clone, FromRow)]
pub struct Device {
    pub id: DeviceId,
    /// The client's user agent at the last login.
    pub user_agent: String,
    /// The client's address at the last login.
    pub address: String,
    /// Unix seconds, to the minute.
    pub last_seen_at: i64,
    /// The end of the trust in it, if it is trusted now.
    pub trusted_until: Option<i64>,
}

/// The device of a login.
pub(in crate::models) struct LoginDevice {
    pub id: DeviceId,
    /// The token of the new cookie, if the browser needs one.
    pub issued: Option<Token>,
    /// Whether the account knew other devices and not this one.
    pub is_unfamiliar: bool,
}

impl Device {
    /// The account's devices, the last seen first. Unless `trusts`, none is trusted.
    pub async fn list(
        connection: &mut Connection,
        user: &UserId,
        trusts: bool,
        now: i64,
    ) -> Result<Vec<Self>> {
        let mut devices: Vec<Self> = sqlx::query_as(
            r"SELECT d.id, d.user_agent, d.address, d.last_seen_at,
                CASE
                    WHEN d.trusted_until > $1 AND d.auth_version = u.auth_version
                    THEN d.trusted_until
                END AS trusted_until
            FROM devices d
            JOIN users u ON u.id = d.user_id
            WHERE d.user_id = $2
            ORDER BY d.last_seen_at DESC, d.id",
        )
        .bind(now)
        .bind(user.as_str())
        .fetch_all(connection)
        .await?;
        if !trusts {
            devices.iter_mut().for_each(|it| it.trusted_until = None);
        }
        Ok(devices)
    }

    /// The device of a browser, if the account knows it. Without an account the same statement
    /// finds nothing, so that the time does not reveal which usernames exist.
    pub(in crate::models) async fn find_known(
        connection: &mut Connection,
        user: Option<&UserId>,
        token: Option<&Token>,
    ) -> Result<Option<DeviceId>> {
        let Some(token) = token else {
            return Ok(None);
        };
        Ok(
            sqlx::query_scalar("SELECT id FROM devices WHERE token_hash = $1 AND user_id = $2")
                .bind(token.hash())
                .bind(user.map_or("", UserId::as_str))
                .fetch_optional(connection)
                .await?,
        )
    }

    /// Whether the account trusts the browser, so that a login needs no code.
    pub async fn is_trusted(
        connection: &mut Connection,
        user: &UserId,
        auth_version: i64,
        token: Option<&Token>,
        now: i64,
    ) -> Result<bool> {
        let Some(token) = token else {
            return Ok(false);
        };
        let found: Option<i64> = sqlx::query_scalar(
            r"SELECT created_at
            FROM devices
            WHERE token_hash = $1 AND user_id = $2 AND auth_version = $3 AND trusted_until > $4",
        )
        .bind(token.hash())
        .bind(user.as_str())
        .bind(auth_version)
        .bind(now)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }

    /// Records a login: updates the browser's device, or makes one. A token without any row was
    /// not issued here, or long ago, and is replaced: nobody else can choose the token of a
    /// browser. The caller holds the lock of the account's row.
    pub(in crate::models) async fn record_login(
        connection: &mut Connection,
        user: &UserId,
        browser: Browser<'_>,
        now: i64,
    ) -> Result<LoginDevice> {
        let client = browser.client;
        if let Some(token) = browser.device
            && let Some(id) = Self::update_known(connection, user, token, client, now).await?
        {
            return Ok(LoginDevice {
                id,
                issued: None,
                is_unfamiliar: false,
            });
        }
        let issued = match browser.device {
            Some(token) if Self::is_issued(connection, token).await? => None,
            _ => Some(Token::generate()?),
        };
        let is_unfamiliar = Self::is_any_known(connection, user).await?;
        let id = DeviceId::from(random_id()?);
        sqlx::query(
            r"INSERT INTO devices
                (id, user_id, token_hash, user_agent, address, created_at, last_seen_at,
                 auth_version)
            VALUES ($1, $2, $3, $4, $5, $6, $6, 0)",
        )
        .bind(id.as_str())
        .bind(user.as_str())
        .bind(issued.as_ref().or(browser.device).map(Token::hash))
        .bind(&client.user_agent)
        .bind(client.address.to_string())
        .bind(now)
        .execute(&mut *connection)
        .await?;
        Self::delete_oldest(connection, user).await?;
        Ok(LoginDevice {
            id,
            issued,
            is_unfamiliar,
        })
    }

    async fn update_known(
        connection: &mut Connection,
        user: &UserId,
        token: &Token,
        client: &Client,
        now: i64,
    ) -> Result<Option<DeviceId>> {
        Ok(sqlx::query_scalar(
            r"UPDATE devices
            SET user_agent = $1, address = $2, last_seen_at = $3
            WHERE token_hash = $4 AND user_id = $5
            RETURNING id",
        )
        .bind(&client.user_agent)
        .bind(client.address.to_string())
        .bind(now)
        .bind(token.hash())
        .bind(user.as_str())
        .fetch_optional(connection)
        .await?)
    }

    /// Whether any account knows a browser with this token.
    async fn is_issued(connection: &mut Connection, token: &Token) -> Result<bool> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM devices WHERE token_hash = $1 LIMIT 1")
                .bind(token.hash())
                .fetch_optional(connection)
                .await?;
        Ok(found.is_some())
    }

    async fn is_any_known(connection: &mut Connection, user: &UserId) -> Result<bool> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM devices WHERE user_id = $1 LIMIT 1")
                .bind(user.as_str())
                .fetch_optional(connection)
                .await?;
        Ok(found.is_some())
    }

    /// Deletes devices beyond [`KEPT`], so that a browser that keeps no cookies can't fill the
    /// table.
    async fn delete_oldest(connection: &mut Connection, user: &UserId) -> Result<()> {
        sqlx::query(
            r"DELETE FROM devices
            WHERE user_id = $1 AND (last_seen_at, id) < (
                SELECT last_seen_at, id
                FROM devices
                WHERE user_id = $1
                ORDER BY last_seen_at DESC, id DESC
                LIMIT 1 OFFSET $2
            )",
        )
        .bind(user.as_str())
        .bind(KEPT - 1)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Trusts a device, until the account's protection changes.
    pub(in crate::models) async fn trust(
        connection: &mut Connection,
        id: &DeviceId,
        auth_version: i64,
        until: i64,
    ) -> Result<()> {
        sqlx::query("UPDATE devices SET trusted_until = $1, auth_version = $2 WHERE id = $3")
            .bind(until)
            .bind(auth_version)
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Whether a device is one of the user's.
    pub async fn is_owned(
        connection: &mut Connection,
        user: &UserId,
        id: &DeviceId,
    ) -> Result<bool> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT created_at FROM devices WHERE id = $1 AND user_id = $2")
                .bind(id.as_str())
                .bind(user.as_str())
                .fetch_optional(connection)
                .await?;
        Ok(found.is_some())
    }

    /// Ends the trust in a device. Returns whether there was any.
    pub async fn end_trust(connection: &mut Connection, id: &DeviceId) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE devices
            SET trusted_until = NULL
            WHERE id = $1 AND trusted_until IS NOT NULL",
        )
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the trust in all of a user's devices but the one of a session. Returns whether one
    /// was trusted.
    pub async fn end_trust_in_others(
        connection: &mut Connection,
        user: &UserId,
        session: &SessionId,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE devices
            SET trusted_until = NULL
            WHERE user_id = $1 AND trusted_until > $2
                AND auth_version = (SELECT auth_version FROM users WHERE id = $1)
                AND id <> COALESCE((SELECT device_id FROM sessions WHERE id = $3), '')",
        )
        .bind(user.as_str())
        .bind(now)
        .bind(session.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
