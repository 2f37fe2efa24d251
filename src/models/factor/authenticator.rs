//! An authenticator app as a factor (TOTP, RFC 6238). Its secret is sealed with `SECRET_KEY`.

use secrecy::{ExposeSecret, SecretString};
use sqlx::{FromRow, Row};

use crate::models::factor::{Factor, FactorId, FactorKind};
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Result};
use crate::services::sealing::{self, SecretKeys};
use crate::services::totp::TotpSecret;

/// The most apps of an account.
pub const MAX_APPS: usize = 5;

/// An app to add.
pub struct NewAuthenticator<'a> {
    pub keys: &'a SecretKeys,
    pub name: &'a str,
    pub secret: &'a TotpSecret,
    /// The time step of the code that proves it, which can't be used to log in afterwards.
    pub step: i64,
}

/// A code that an app showed: consumed by [`Factor::consume_step`].
pub struct UsedStep {
    factor: FactorId,
    /// The number of its 30 seconds since 1970.
    step: i64,
    /// The secret under the first key, if it was sealed under another.
    resealed: Option<String>,
}

impl Factor {
    /// Adds an app. The caller's transaction holds the account's row and has increased its
    /// `auth_version`.
    pub async fn add_authenticator(
        connection: &mut Connection,
        user: &UserId,
        new: &NewAuthenticator<'_>,
        now: i64,
    ) -> Result<()> {
        let id = random_id()?;
        let sealed = new.keys.seal(new.secret.expose(), &id)?;
        sqlx::query(
            r"INSERT INTO factors (id, user_id, kind, name, secret, last_step, created_at)
            VALUES ($1, $2, 'authenticator', $3, $4, $5, $6)",
        )
        .bind(&id)
        .bind(user.as_str())
        .bind(new.name)
        .bind(sealed)
        .bind(new.step)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The secret of an app. `None` if the factor is no app.
    pub fn open_secret(&self, keys: &SecretKeys) -> Result<Option<TotpSecret>> {
        let FactorKind::Authenticator { secret, .. } = &self.kind else {
            return Ok(None);
        };
        let opened = keys.open(secret.expose_secret(), self.id.as_str())?;
        Ok(TotpSecret::from_bytes(opened.plaintext.expose_secret()))
    }

    /// The step of a right code that was not used before. One step of clock skew is accepted
    /// either way (RFC 6238, 5.2).
    pub(in crate::models) fn check_code(
        &self,
        keys: &SecretKeys,
        code: &SecretString,
        now: i64,
    ) -> Result<Option<UsedStep>> {
        let FactorKind::Authenticator {
            secret, last_step, ..
        } = &self.kind
        else {
            return Ok(None);
        };
        let opened = keys.open(secret.expose_secret(), self.id.as_str())?;
        let plaintext = opened.plaintext.expose_secret();
        let secret = TotpSecret::from_bytes(plaintext).ok_or(sealing::Error::Malformed)?;
        let step = secret.check(code.expose_secret(), now);
        let Some(step) = step.filter(|step| step > last_step) else {
            return Ok(None);
        };
        let resealed = match opened.is_outdated {
            true => Some(keys.seal(plaintext, self.id.as_str())?),
            false => None,
        };
        Ok(Some(UsedStep {
            factor: self.id.clone(),
            step,
            resealed,
        }))
    }

    /// Marks a step as used. Returns whether it was unused: of parallel calls with the same code,
    /// on any instance, one returns true.
    pub(in crate::models) async fn consume_step(
        connection: &mut Connection,
        used: &UsedStep,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE factors
            SET last_step = $1, secret = COALESCE($2, secret)
            WHERE id = $3 AND last_step < $1 AND removed_at IS NULL",
        )
        .bind(used.step)
        .bind(used.resealed.as_deref())
        .bind(used.factor.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether the keys open every sealed secret, removed ones included, for the start.
    pub async fn can_open_all(database: &Database, keys: Option<&SecretKeys>) -> Result<bool> {
        let mut last = String::new();
        loop {
            let page: Vec<Self> = sqlx::query_as(
                r"SELECT *
                FROM factors
                WHERE kind = 'authenticator' AND id > $1
                ORDER BY id
                LIMIT 1000",
            )
            .bind(&last)
            .fetch_all(database)
            .await?;
            let Some(app) = page.last() else {
                return Ok(true);
            };
            app.id.as_str().clone_into(&mut last);
            let opens = |app: &Self| keys.is_some_and(|keys| app.open_secret(keys).is_ok());
            if !page.iter().all(opens) {
                return Ok(false);
            }
        }
    }

    /// The apps of all accounts with their usernames, at most 100, for the demo authenticator.
    pub async fn all_authenticators(database: &Database) -> Result<Vec<(String, Self)>> {
        let rows = sqlx::query(
            r"SELECT factors.*, users.username
            FROM factors
            JOIN users ON users.id = factors.user_id
            WHERE kind = 'authenticator' AND factors.id > '' AND removed_at IS NULL
            ORDER BY factors.id
            LIMIT 100",
        )
        .fetch_all(database)
        .await?;
        let mut apps = Vec::new();
        for row in &rows {
            apps.push((row.try_get("username")?, Self::from_row(row)?));
        }
        Ok(apps)
    }
}
