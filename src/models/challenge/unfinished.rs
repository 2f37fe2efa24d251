//! The notice of a log-in whose password was right and whose code never came.
//!
//! It is queued when the verification is opened and due when that ends, so that
//! it goes out though nobody ever logs in again; the right code withdraws it. The
//! queued mail has the verification's id: that is how it is found again. Only
//! the right code withdraws it, not giving up: who knows the password and not
//! the code could hide it by that.

use crate::models::challenge::{ChallengeId, NewLogin};
use crate::models::outbox::{Event, Mail, Notice};
use crate::models::rate_limit::{UNFINISHED_LOGIN_NOTICES, refund_since, try_take};
use crate::models::user::UserId;
use crate::models::{Connection, Error};

/// Queues the notice for a verification that was just opened. Where the browser
/// begins again what it had open until now, the notice goes over to the new one,
/// and stays due when it was.
pub(super) async fn queue(
    connection: &mut Connection,
    opened: &ChallengeId,
    user: &UserId,
    login: &NewLogin<'_>,
    due: i64,
    now: i64,
) -> Result<(), Error> {
    if let Some(replaced) = login.replaces {
        let handed_over = sqlx::query("UPDATE outbox SET id = $1 WHERE id = $2 AND attempts = 0")
            .bind(opened.as_str())
            .bind(replaced.as_str())
            .execute(&mut *connection)
            .await?;
        if handed_over.rows_affected() == 1 {
            return Ok(());
        }
    }
    let buckets = UNFINISHED_LOGIN_NOTICES.buckets(user.as_str());
    if try_take(connection, &buckets, now).await?.is_err() {
        return Ok(());
    }
    let mail = Mail::Notice(Notice::new(Event::UnfinishedLogin, login.client, now));
    mail.enqueue_for_later(connection, opened.as_str(), user, now, due)
        .await
}

/// Withdraws the notice of a verification whose code was right, if it is not
/// being sent already; the day's notice is free again.
pub(super) async fn withdraw(
    connection: &mut Connection,
    challenge: &ChallengeId,
    user: &UserId,
    now: i64,
) -> Result<(), Error> {
    let withdrawn = sqlx::query("DELETE FROM outbox WHERE id = $1 AND attempts = 0")
        .bind(challenge.as_str())
        .execute(&mut *connection)
        .await?;
    if withdrawn.rows_affected() == 1 {
        let buckets = UNFINISHED_LOGIN_NOTICES.buckets(user.as_str());
        refund_since(connection, &buckets, 1, now).await?;
    }
    Ok(())
}
