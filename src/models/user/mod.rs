//! Accounts.

pub mod id;
mod operator;

pub use id::UserId;
pub use operator::Overview;

use secrecy::SecretString;
use sqlx::FromRow;

use crate::models::rate_limit::{Attempt, RENAMES, RateLimitExceeded, refund, take};
use crate::models::token::random_id;
use crate::models::{Connection, Database, Error, Result, is_violation_of};
use crate::services::passwords::{Passwords, UNUSABLE};

/// Seconds between two recorded visits.
const LAST_SEEN_INTERVAL: i64 = 60;

/// Seconds for which a former username stays reserved for its account, so that no other user
/// can impersonate its user after a rename.
const RESERVED_FOR: i64 = 30 * 24 * 60 * 60;

/// The columns of a [`User`], as a literal for `concat!`.
macro_rules! user_columns {
    () => {
        r"id AS user_id, username, email, auth_version, about_me, last_seen_at,
            (SELECT COUNT(*) FROM factors
             WHERE user_id = users.id AND removed_at IS NULL) AS factors,
            (SELECT phone FROM factors
             WHERE user_id = users.id AND removed_at IS NULL AND kind = 'phone') AS phone"
    };
}
pub(super) use user_columns;

/// An account, without its password hash.
#[derive(Debug, Clone, FromRow)]
pub struct User {
    #[sqlx(rename = "user_id")]
    pub id: UserId,
    pub username: String,
    /// The email address as typed.
    pub email: String,
    /// Each change of the password or a factor increments it.
    pub auth_version: i64,
    /// The profile's text, with `\n` line endings.
    pub about_me: String,
    /// The last visit, in Unix seconds, to the minute.
    pub last_seen_at: Option<i64>,
    /// The number of second factors.
    pub factors: i64,
    /// The phone number in E.164, if a phone is among them.
    pub phone: Option<String>,
}

/// The validated fields of a registration.
#[derive(Debug)]
pub struct NewUser {
    pub username: String,
    /// The email address as typed.
    pub email: String,
    /// The password, not yet hashed.
    pub password: SecretString,
}

/// Why an account was not created or renamed.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another account has that name or has reserved it, in any case.
    #[error("the username is taken")]
    UsernameTaken,
    #[error("the email address is taken")]
    EmailTaken,
    #[error(transparent)]
    RateLimited(#[from] RateLimitExceeded),
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<sqlx::Error> for SaveError {
    fn from(error: sqlx::Error) -> Self {
        if is_violation_of(&error, "users", "username_key") {
            Self::UsernameTaken
        } else if is_violation_of(&error, "users", "email_key") {
            Self::EmailTaken
        } else {
            Self::Other(error.into())
        }
    }
}

impl User {
    /// Creates an account and returns its id. `rejection` is refunded on success.
    pub async fn create(
        database: &Database,
        passwords: &Passwords,
        new: NewUser,
        rejection: &Attempt,
        now: i64,
    ) -> Result<UserId, SaveError> {
        let id = UserId::from_column(random_id()?);
        let password_hash = passwords.hash(new.password).await.map_err(Error::from)?;
        let mut transaction = database.begin().await?;
        sqlx::query(
            r"INSERT INTO users (
                id, username, username_key, email, email_key,
                password_hash, auth_version, about_me, created_at
            )
            VALUES ($1, $2, $3, $4, $5, $6, 1, '', $7)",
        )
        .bind(id.as_str())
        .bind(&new.username)
        .bind(case_key(&new.username))
        .bind(&new.email)
        .bind(case_key(&new.email))
        .bind(password_hash)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        refuse_reserved(&mut transaction, &id, &new.username, now).await?;
        refund(&mut transaction, rejection).await?;
        transaction.commit().await?;
        Ok(id)
    }

    pub async fn find(database: &Database, id: &UserId) -> Result<Option<Self>> {
        Ok(sqlx::query_as(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE id = $1"
        ))
        .bind(id.as_str())
        .fetch_optional(database)
        .await?)
    }

    /// Finds an account by its username, in any case.
    pub async fn find_by_username(database: &Database, username: &str) -> Result<Option<Self>> {
        Ok(sqlx::query_as(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE username_key = $1"
        ))
        .bind(case_key(username))
        .fetch_optional(database)
        .await?)
    }

    /// Changes the profile and reserves the former name. On an error the caller rolls its
    /// transaction back.
    pub async fn update_profile(
        &self,
        connection: &mut Connection,
        username: &str,
        about_me: &str,
        now: i64,
    ) -> Result<(), SaveError> {
        sqlx::query(
            r"UPDATE users
            SET username = $1, username_key = $2, about_me = $3
            WHERE id = $4",
        )
        .bind(username)
        .bind(case_key(username))
        .bind(about_me)
        .bind(self.id.as_str())
        .execute(&mut *connection)
        .await?;
        if username != self.username {
            take(connection, &RENAMES.buckets(self.id.as_str()), now).await??;
        }
        if case_key(username) != case_key(&self.username) {
            refuse_reserved(connection, &self.id, username, now).await?;
            self.reserve_former_name(connection, username, now).await?;
        }
        Ok(())
    }

    /// Reserves the account's former name. [`RENAMES`] bounds how many there are.
    async fn reserve_former_name(
        &self,
        connection: &mut Connection,
        username: &str,
        now: i64,
    ) -> Result<()> {
        sqlx::query("DELETE FROM former_usernames WHERE username_key = $1")
            .bind(case_key(username))
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            r"INSERT INTO former_usernames (username_key, user_id, reserved_until)
            VALUES ($1, $2, $3)
            ON CONFLICT (username_key) DO UPDATE SET
                user_id = excluded.user_id,
                reserved_until = excluded.reserved_until",
        )
        .bind(case_key(&self.username))
        .bind(self.id.as_str())
        .bind(now + RESERVED_FOR)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Whether two-factor authentication is on.
    pub const fn has_two_factor(&self) -> bool {
        self.factors > 0
    }

    /// Whether a visit now must be recorded.
    pub fn is_touch_due(&self, now: i64) -> bool {
        self.last_seen_at
            .is_none_or(|at| at > now || now - at >= LAST_SEEN_INTERVAL)
    }

    /// Records a visit, at most once in [`LAST_SEEN_INTERVAL`].
    pub async fn touch(&self, database: &Database, now: i64) -> Result<()> {
        sqlx::query(
            r"UPDATE users
            SET last_seen_at = $1
            WHERE id = $2
                AND (last_seen_at IS NULL OR last_seen_at <= $3 OR last_seen_at > $1)",
        )
        .bind(now)
        .bind(self.id.as_str())
        .bind(now - LAST_SEEN_INTERVAL)
        .execute(database)
        .await?;
        Ok(())
    }

    /// Replaces the password with one that never matches.
    pub async fn make_password_unusable(connection: &mut Connection, id: &UserId) -> Result<()> {
        sqlx::query(
            r"UPDATE users
            SET password_hash = $1, auth_version = auth_version + 1
            WHERE id = $2",
        )
        .bind(UNUSABLE)
        .bind(id.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Sets the password, unless `auth_version` is outdated. Returns whether it did.
    pub async fn set_password(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
        password_hash: &str,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET password_hash = $1, auth_version = auth_version + 1
            WHERE id = $2 AND auth_version = $3",
        )
        .bind(password_hash)
        .bind(id.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Increases `auth_version`, unless it is outdated. Returns whether it did. It ends pending
    /// logins, and comes first in every transaction that changes factors.
    pub async fn raise_auth_version(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET auth_version = auth_version + 1
            WHERE id = $1 AND auth_version = $2",
        )
        .bind(id.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Locks the account's row for this transaction: for actions that must succeed even if the
    /// operator has locked the account.
    pub async fn lock_in_any_state(connection: &mut Connection, id: &UserId) -> Result<()> {
        sqlx::query("UPDATE users SET auth_version = auth_version WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Locks the account's row for this transaction, unless `auth_version` is outdated or the
    /// operator has locked the account. Returns whether it did. Transactions that begin with
    /// this run one after the other on either engine.
    pub async fn lock_for_update(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET auth_version = auth_version
            WHERE id = $1 AND auth_version = $2 AND locked_at IS NULL",
        )
        .bind(id.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Refuses a name that another account has reserved. Call it after writing the name: that
/// waits until a parallel rename has committed its reservation.
async fn refuse_reserved(
    connection: &mut Connection,
    id: &UserId,
    username: &str,
    now: i64,
) -> Result<(), SaveError> {
    let reserved: Option<i64> = sqlx::query_scalar(
        r"SELECT reserved_until FROM former_usernames
        WHERE username_key = $1 AND user_id <> $2
            AND reserved_until > $3 AND reserved_until <= $4",
    )
    .bind(case_key(username))
    .bind(id.as_str())
    .bind(now)
    .bind(now + RESERVED_FOR)
    .fetch_optional(connection)
    .await?;
    match reserved {
        Some(_) => Err(SaveError::UsernameTaken),
        None => Ok(()),
    }
}

/// The form in which usernames and addresses are compared: ignoring case.
pub(super) fn case_key(text: &str) -> String {
    text.to_lowercase()
}
