//! Requests for a link to a new password, for addresses that may be nobody's.
//!
//! To ask writes one row, whoever's the address is. Whose it is, and whether a
//! mail goes out, the mail worker finds out afterwards, so that neither the answer
//! nor its time tells it.

use crate::models::outbox::Mail;
use crate::models::rate_limit::{RESET_MAILS_OF_ACCOUNT, refund, try_take};
use crate::models::token::random_id;
use crate::models::user::{UserId, case_key};
use crate::models::{Connection, Database, Error};

/// Keeps a request until [`resolve_next`].
///
/// # Errors
/// When the database fails or there are no random numbers.
pub async fn add(connection: &mut Connection, email: &str, now: i64) -> Result<(), Error> {
    sqlx::query("INSERT INTO reset_requests (id, email_key, created_at) VALUES ($1, $2, $3)")
        .bind(random_id()?)
        .bind(case_key(email))
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes the oldest request and queues the mail, if anybody has the address: of
/// several workers that ask at once, one gets it. Returns whether there was one.
///
/// # Errors
/// When the database fails; then the request stays.
pub async fn resolve_next(database: &Database, now: i64) -> Result<bool, Error> {
    let mut transaction = database.begin().await?;
    let email_key: Option<String> = sqlx::query_scalar(
        "DELETE FROM reset_requests WHERE id = \
         (SELECT id FROM reset_requests ORDER BY created_at LIMIT 1) RETURNING email_key",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(email_key) = email_key else {
        return Ok(false);
    };
    let id: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE email_key = $1")
        .bind(email_key)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(id) = id {
        queue(&mut transaction, &UserId::from_column(id), now).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Queues the mail, unless one waits already or too many went out: nobody is told
/// of that. What is not queued does not count.
async fn queue(connection: &mut Connection, user: &UserId, now: i64) -> Result<(), Error> {
    let buckets = RESET_MAILS_OF_ACCOUNT.buckets(user.as_str());
    let Ok(attempt) = try_take(connection, &buckets, now).await? else {
        return Ok(());
    };
    if !Mail::ResetPassword.enqueue(connection, user, now).await? {
        refund(connection, &attempt).await?;
    }
    Ok(())
}
