//! The queue of emails. An email is queued in the transaction of its event, so it is sent
//! if and only if the event happened.

mod notice;

pub use notice::{Notice, NoticeKind};

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::models::rate_limit::{UNFINISHED_LOGIN_NOTICES, try_take};
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Database, GIVE_UP_AFTER, Result};

/// How long an instance holds an email that it sends, in seconds. If the instance dies,
/// another one takes the email after the lease.
const LEASE: i64 = 300;

/// The first pause after a failed attempt, in seconds; each is twice the one before.
const FIRST_PAUSE: i64 = 30;

/// The longest pause, in seconds. No lease and no delayed notice exceeds it. An email that is due
/// later than this was written by a wrong clock and counts as due now.
const LONGEST_PAUSE: i64 = 60 * 60;

/// After so many attempts without a reply to the complete email, it counts as sent, since each may
/// have delivered it.
const MAX_UNANSWERED: i64 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mail {
    ResetPassword,
    Notice(Notice),
}

/// An email that this instance holds and sends now.
#[derive(Debug, Clone, FromRow)]
pub struct Queued {
    pub id: String,
    pub user_id: UserId,
    pub username: String,
    pub email: String,
    mail: String,
    /// Attempts so far, this one included.
    pub attempts: i64,
    /// Earlier attempts without a reply to the complete email.
    unanswered: i64,
    /// Why the previous attempt failed.
    pub last_error: Option<String>,
    /// When it was queued, in Unix seconds.
    pub created_at: i64,
}

impl Mail {
    /// Whether the user waits for it now, so that it is sent before all notices.
    pub const fn is_awaited(&self) -> bool {
        matches!(self, Self::ResetPassword)
    }

    /// Queues the email for a user. Returns whether it was queued: a second reset link is not.
    pub async fn enqueue(
        &self,
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool> {
        let id = random_id()?;
        self.enqueue_for_later(connection, &id, user, now, now)
            .await
    }

    /// Queues the email under an id by which it can be withdrawn. It is sent when it is
    /// `due`, at most [`LONGEST_PAUSE`] from now.
    pub(super) async fn enqueue_for_later(
        &self,
        connection: &mut Connection,
        id: &str,
        user: &UserId,
        now: i64,
        due: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"INSERT INTO outbox
                (id, user_id, mail, attempts, created_at, next_attempt_at, position)
              SELECT $1, users.id, $3, 0, $4, $5,
                $6 * (1 + (SELECT COUNT(*) FROM outbox WHERE user_id = $2))
              FROM users
              WHERE users.id = $2
              ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(user.as_str())
        .bind(serde_json::to_string(self)?)
        .bind(now)
        .bind(due)
        .bind(i64::from(!self.is_awaited()))
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Queued {
    /// The numbers of queued emails and of those that are due.
    pub async fn count(database: &Database, now: i64) -> Result<(i64, i64)> {
        Ok(sqlx::query_as(
            r"SELECT COUNT(*),
                COUNT(CASE WHEN next_attempt_at <= $1 OR next_attempt_at > $2 THEN 1 END)
              FROM outbox",
        )
        .bind(now)
        .bind(now + LONGEST_PAUSE)
        .fetch_one(database)
        .await?)
    }

    /// Takes the next email for this instance alone. `None` if none is due.
    ///
    /// The statement walks from each position in use to the next by the index, and looks up
    /// the first email that is due there: it never reads emails that are not due. It also
    /// moves a `created_at` in the future to now, so that a wrong clock does not postpone the
    /// time when an email is dropped.
    pub async fn take(database: &Database, now: i64) -> Result<Option<Self>> {
        Ok(sqlx::query_as(
            r"WITH RECURSIVE
                positions (position) AS (
                  SELECT MIN(position) FROM outbox
                  UNION ALL
                  SELECT (
                    SELECT MIN(outbox.position)
                    FROM outbox
                    WHERE outbox.position > positions.position
                  )
                  FROM positions
                  WHERE positions.position IS NOT NULL
                ),
                due (position, id) AS (
                  SELECT position, COALESCE(
                    (SELECT id FROM outbox
                     WHERE outbox.position = positions.position AND next_attempt_at <= $1
                     ORDER BY next_attempt_at LIMIT 1),
                    (SELECT id FROM outbox
                     WHERE outbox.position = positions.position AND next_attempt_at > $2
                     ORDER BY next_attempt_at LIMIT 1)
                  )
                  FROM positions
                )
              UPDATE outbox
              SET attempts = attempts + 1,
                next_attempt_at = $3,
                created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END
              WHERE id = (SELECT id FROM due WHERE id IS NOT NULL ORDER BY position LIMIT 1)
                AND (next_attempt_at <= $1 OR next_attempt_at > $2)
              RETURNING id, user_id, mail, attempts, unanswered, last_error, created_at,
                (SELECT username FROM users WHERE users.id = outbox.user_id) AS username,
                (SELECT email FROM users WHERE users.id = outbox.user_id) AS email",
        )
        .bind(now)
        .bind(now + LONGEST_PAUSE)
        .bind(now + LEASE)
        .fetch_optional(database)
        .await?)
    }

    /// Counts a notice of an unfinished login, and returns whether the user had one today. A
    /// retry is not counted again.
    pub async fn exceeds_limit(&self, database: &Database, now: i64) -> Result<bool> {
        let is_limited = match self.mail() {
            Ok(Mail::Notice(notice)) => notice.event == NoticeKind::UnfinishedLogin,
            _ => false,
        };
        if !is_limited || self.attempts > 1 {
            return Ok(false);
        }
        let buckets = UNFINISHED_LOGIN_NOTICES.buckets(self.user_id.as_str());
        let taken = try_take(&mut *database.acquire().await?, &buckets, now).await?;
        Ok(taken.is_err())
    }

    /// The email. Fails if only another version of the program knows it, which may run
    /// during an update.
    pub fn mail(&self) -> Result<Mail> {
        Ok(serde_json::from_str(&self.mail)?)
    }

    /// Deletes an email that was sent or dropped.
    pub async fn remove(&self, database: &Database) -> Result<()> {
        sqlx::query("DELETE FROM outbox WHERE id = $1")
            .bind(&self.id)
            .execute(database)
            .await?;
        Ok(())
    }

    /// Puts an email back for a retry: it was not sent, or the server did not reply to it.
    pub async fn put_back(
        &self,
        database: &Database,
        error: &str,
        unanswered: bool,
        now: i64,
    ) -> Result<()> {
        sqlx::query(
            r"UPDATE outbox
              SET next_attempt_at = $1, last_error = $2, unanswered = unanswered + $3
              WHERE id = $4",
        )
        .bind(now + self.pause())
        .bind(error)
        .bind(i64::from(unanswered))
        .bind(&self.id)
        .execute(database)
        .await?;
        Ok(())
    }

    /// Whether another attempt without an answer is the last.
    pub const fn was_unanswered_often(&self) -> bool {
        self.unanswered + 1 >= MAX_UNANSWERED
    }

    /// Seconds until the next attempt.
    fn pause(&self) -> i64 {
        let doublings = u32::try_from(self.attempts - 1).unwrap_or(0).min(10);
        (FIRST_PAUSE << doublings).min(LONGEST_PAUSE)
    }

    /// Whether the email is too old to be sent.
    pub const fn is_stale(&self, now: i64) -> bool {
        now - self.created_at >= GIVE_UP_AFTER
    }
}
