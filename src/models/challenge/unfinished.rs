//! The notice of a login with the right password and no right code.
//!
//! It is queued when the challenge opens and due when the challenge ends, so it is sent even
//! without another login. The queued email has the challenge's id. Only the right code
//! withdraws it, not canceling: otherwise an intruder who has only the password could hide it.
//! The limit of one a day applies when it is sent.

use crate::models::challenge::{ChallengeId, Row};
use crate::models::client::Client;
use crate::models::outbox::{Mail, Notice, NoticeKind};
use crate::models::{Connection, Result};

/// Queues the notice of a new challenge. If the browser begins its open login again, the
/// notice moves to the new challenge and stays due at the same time.
pub(super) async fn queue(
    connection: &mut Connection,
    opened: &Row,
    replaced: Option<&ChallengeId>,
    client: &Client,
    now: i64,
) -> Result<()> {
    if let Some(replaced) = replaced {
        let handed_over = sqlx::query("UPDATE outbox SET id = $1 WHERE id = $2 AND attempts = 0")
            .bind(opened.id.as_str())
            .bind(replaced.as_str())
            .execute(&mut *connection)
            .await?;
        if handed_over.rows_affected() == 1 {
            return Ok(());
        }
    }
    let mail = Mail::Notice(Notice::new(NoticeKind::UnfinishedLogin, client, now));
    let (id, user, due) = (opened.id.as_str(), &opened.user_id, opened.expires_at);
    mail.enqueue_for_later(connection, id, user, now, due)
        .await?;
    Ok(())
}

/// Withdraws the notice after the right code, unless an instance is sending it already.
pub(in crate::models) async fn withdraw(
    connection: &mut Connection,
    challenge: &ChallengeId,
) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE id = $1 AND attempts = 0")
        .bind(challenge.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
