//! Password reset requests for addresses that may have no account.
//!
//! A request writes one row in any case. The email worker looks up the account afterwards,
//! so neither the answer nor its time reveals whether there is one.

use sqlx::Row;

use crate::models::outbox::Mail;
use crate::models::rate_limit::{RESET_MAILS_OF_ACCOUNT, refund, try_take};
use crate::models::token::random_id;
use crate::models::user::{UserId, case_key};
use crate::models::{Connection, Database, GIVE_UP_AFTER, Result};

/// Stores a request until [`resolve_next`].
pub async fn add(connection: &mut Connection, email: &str, now: i64) -> Result<()> {
    sqlx::query("INSERT INTO reset_requests (id, email_key, created_at) VALUES ($1, $2, $3)")
        .bind(random_id()?)
        .bind(case_key(email))
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// The outcome of [`resolve_next`].
#[derive(Debug)]
pub enum Resolved {
    /// There was no request.
    Nothing,
    /// An email is queued, or the request was too old.
    Done,
    /// No email is queued, and a decoy takes its place.
    Decoy(Decoy),
}

/// Stands in for an email that was not queued. Delivery of a queued one takes three writes,
/// and on SQLite, which has one writer, the client's next request waits for them. A decoy
/// makes as many.
#[derive(Debug)]
pub struct Decoy(String);

/// Takes the oldest request and queues the email if the address has an account. One of
/// several parallel workers gets the request. If the database fails, the request stays.
pub async fn resolve_next(database: &Database, now: i64) -> Result<Resolved> {
    let mut transaction = database.begin().await?;
    let request = sqlx::query(
        r"DELETE FROM reset_requests
          WHERE id = (
            SELECT id FROM reset_requests
            WHERE email_key <> ''
            ORDER BY created_at LIMIT 1)
          RETURNING id, email_key, created_at",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(request) = request else {
        return Ok(Resolved::Nothing);
    };
    let decoy = Decoy(request.try_get("id")?);
    let email_key: String = request.try_get("email_key")?;
    let created_at = request.try_get::<i64, _>("created_at")?.min(now);
    // The program was down for too long: the user no longer waits for the link.
    if now - created_at >= GIVE_UP_AFTER {
        transaction.commit().await?;
        return Ok(Resolved::Done);
    }
    let resolved = if queue(&mut transaction, &email_key, created_at, now).await? {
        Resolved::Done
    } else {
        decoy.insert(&mut transaction, now).await?;
        Resolved::Decoy(decoy)
    };
    transaction.commit().await?;
    Ok(resolved)
}

/// Queues the email, unless one is queued already or the limit is exceeded. A request that
/// finds one queued doesn't count. One for an unknown address does, so that it writes the
/// same as the first for an account.
async fn queue(
    connection: &mut Connection,
    email_key: &str,
    created_at: i64,
    now: i64,
) -> Result<bool> {
    let user: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE email_key = $1")
        .bind(email_key)
        .fetch_optional(&mut *connection)
        .await?;
    let buckets = RESET_MAILS_OF_ACCOUNT.buckets(user.as_deref().unwrap_or(email_key));
    let Ok(attempt) = try_take(connection, &buckets, now).await? else {
        return Ok(false);
    };
    let Some(user) = user.map(UserId::from_column) else {
        return Ok(false);
    };
    // The email is as old as the request: both together wait no longer than an email may.
    let mail = Mail::ResetPassword;
    let queued = mail.enqueue(connection, &user, created_at).await?;
    if !queued {
        refund(connection, &attempt).await?;
    }
    Ok(queued)
}

impl Decoy {
    /// Inserts a request without an address, which is never resolved.
    async fn insert(&self, connection: &mut Connection, now: i64) -> Result<()> {
        sqlx::query("INSERT INTO reset_requests (id, email_key, created_at) VALUES ($1, '', $2)")
            .bind(&self.0)
            .bind(now)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Writes as often as a delivery, which takes the email, stores its link and deletes the
    /// email. The last write also deletes the decoys of instances that died.
    pub async fn imitate_delivery(self, database: &Database) -> Result<()> {
        for _ in 0..2 {
            sqlx::query("UPDATE reset_requests SET created_at = created_at + 1 WHERE id = $1")
                .bind(&self.0)
                .execute(database)
                .await?;
        }
        sqlx::query("DELETE FROM reset_requests WHERE email_key = ''")
            .execute(database)
            .await?;
        Ok(())
    }
}
