//! The notice of a login with the right password and no right code.
//!
//! It is queued when the challenge opens and due when the challenge ends, so it is sent even
//! without another login. The queued email has the challenge's id. Only the right code
//! withdraws it, not canceling: otherwise an intruder who has only the password could hide it.

use crate::models::challenge::{ChallengeId, NewLogin};
use crate::models::outbox::{Mail, Notice, NoticeKind};
use crate::models::rate_limit::{UNFINISHED_LOGIN_NOTICES, refund_since, try_take};
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// Queues the notice of a new challenge. If the browser begins its open login again, the
/// notice moves to the new challenge and stays due at the same time.
pub(super) async fn queue(
    connection: &mut Connection,
    opened: &ChallengeId,
    user: &UserId,
    login: &NewLogin<'_>,
    due: i64,
    now: i64,
) -> Result<()> {
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
    let mail = Mail::Notice(Notice::new(NoticeKind::UnfinishedLogin, login.client, now));
    mail.enqueue_for_later(connection, opened.as_str(), user, now, due)
        .await?;
    Ok(())
}

/// Withdraws the notice after the right code and refunds its limit, unless an instance is
/// sending it already.
pub(super) async fn withdraw(
    connection: &mut Connection,
    challenge: &ChallengeId,
    user: &UserId,
    now: i64,
) -> Result<()> {
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
