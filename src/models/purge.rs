//! Deleting expired rows, a few per statement, so that no request waits long for it.

use std::time::Duration;

use strum::{AsRefStr, VariantArray};

use crate::models::{Database, Result, SQLITE, activity, device, factor, sms_days};

/// Rows that one statement deletes. On SQLite all writers wait for it and for its checkpoint:
/// a few milliseconds, but 40 ms for 100 rows of a million sessions.
pub const BATCH: u64 = 10;

/// The pause after a batch, in which other writers get the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// PostgreSQL's SQLSTATE `lock_not_available`.
const LOCK_TIMEOUT: &str = "55P03";

/// Seconds that challenges and verifications are kept after they expired. Sends count for a day
/// and are refunded by their rows. One more hour is a margin for clocks that differ.
const CHALLENGE_KEPT: i64 = 25 * 60 * 60;

/// A kind of rows that expire. [`ExpiringRows::as_ref`] is its name in the log and for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum ExpiringRows {
    /// Sessions past their end or their idle end.
    Sessions,
    /// Challenges that have no queued email, [`CHALLENGE_KEPT`] after they expired.
    Challenges,
    /// Twilio's verifications, [`CHALLENGE_KEPT`] after they expired.
    Verifications,
    #[strum(serialize = "emailed links")]
    MailTokens,
    #[strum(serialize = "rate limits")]
    RateLimits,
    /// Former usernames that are no longer reserved.
    #[strum(serialize = "former usernames")]
    FormerUsernames,
    /// Removed factors, after [`factor::KEPT_REMOVED`].
    #[strum(serialize = "removed factors")]
    Factors,
    /// Devices that were not seen for [`device::DEVICE_LIFE`].
    Devices,
    /// Events of accounts, after [`activity::KEPT`].
    Activity,
    /// Days of the SMS report, after [`sms_days::KEPT_DAYS`].
    #[strum(serialize = "days of the SMS report")]
    SmsDays,
}

impl ExpiringRows {
    /// Deletes at most [`BATCH`] rows that have expired at `now`, and returns how many. On
    /// PostgreSQL it deletes none if a request holds one of them.
    pub async fn delete_batch(self, database: &Database, now: i64) -> Result<u64> {
        let (kept, statement) = match self {
            Self::SmsDays => return sms_days::delete_old(database, now).await,
            Self::Sessions => (
                0,
                r"DELETE FROM sessions
                  WHERE id IN (
                    SELECT id FROM sessions
                    WHERE expires_at <= $1 OR idle_expires_at <= $1
                    LIMIT $2
                  )
                  AND (expires_at <= $1 OR idle_expires_at <= $1)",
            ),
            // A queued email has the id of its challenge.
            Self::Challenges => (
                CHALLENGE_KEPT,
                r"DELETE FROM challenges
                  WHERE id IN (
                    SELECT id FROM challenges
                    WHERE expires_at <= $1
                    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = challenges.id)
                    LIMIT $2
                  )
                  AND expires_at <= $1
                  AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = challenges.id)",
            ),
            Self::Verifications => (
                CHALLENGE_KEPT,
                r"DELETE FROM verifications
                  WHERE id IN (
                    SELECT id FROM verifications
                    WHERE expires_at <= $1
                    LIMIT $2
                  )
                  AND expires_at <= $1",
            ),
            Self::MailTokens => (
                0,
                r"DELETE FROM mail_tokens
                  WHERE token_hash IN (
                    SELECT token_hash FROM mail_tokens
                    WHERE expires_at <= $1
                    LIMIT $2
                  )
                  AND expires_at <= $1",
            ),
            Self::RateLimits => (
                0,
                r"DELETE FROM rate_limits
                  WHERE key IN (
                    SELECT key FROM rate_limits
                    WHERE expires_at <= $1
                    LIMIT $2
                  )
                  AND expires_at <= $1",
            ),
            Self::FormerUsernames => (
                0,
                r"DELETE FROM former_usernames
                  WHERE username_key IN (
                    SELECT username_key FROM former_usernames
                    WHERE reserved_until <= $1
                    LIMIT $2
                  )
                  AND reserved_until <= $1",
            ),
            Self::Factors => (
                factor::KEPT_REMOVED,
                r"DELETE FROM factors
                  WHERE id IN (
                    SELECT id FROM factors
                    WHERE removed_at <= $1
                    LIMIT $2
                  )
                  AND removed_at <= $1",
            ),
            Self::Devices => (
                device::DEVICE_LIFE,
                r"DELETE FROM devices
                  WHERE id IN (
                    SELECT id FROM devices
                    WHERE last_seen_at <= $1
                    LIMIT $2
                  )
                  AND last_seen_at <= $1",
            ),
            Self::Activity => (
                activity::KEPT,
                r"DELETE FROM activity
                  WHERE id IN (
                    SELECT id FROM activity
                    WHERE at <= $1
                    LIMIT $2
                  )
                  AND at <= $1",
            ),
        };
        delete_batch(database, statement, now - kept).await
    }

    /// Deletes all rows that have expired at `now`, and returns how many. Several instances
    /// may do it at once: each row is deleted once. If they meet at the same rows, one of them
    /// stops early.
    pub async fn purge(self, database: &Database, now: i64) -> Result<u64> {
        let mut rows = 0;
        loop {
            let deleted = self.delete_batch(database, now).await?;
            rows += deleted;
            if deleted < BATCH {
                return Ok(rows);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Deletes at most [`BATCH`] rows that expired at `until` or before. The statement checks the
/// expiry twice, since PostgreSQL may find a row and then wait while a request extends it.
async fn delete_batch(database: &Database, statement: &'static str, until: i64) -> Result<u64> {
    let mut transaction = database.begin().await?;
    let is_sqlite = transaction.backend_name() == SQLITE;
    if !is_sqlite {
        // A request that locks the same rows in another order would deadlock with the purge.
        // The purge gives up first, long before PostgreSQL kills either of them.
        sqlx::query("SET LOCAL lock_timeout = '10ms'")
            .execute(&mut *transaction)
            .await?;
    }
    let deleted = sqlx::query(statement)
        .bind(until)
        .bind(BATCH.cast_signed())
        .execute(&mut *transaction)
        .await;
    let rows = match deleted {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_TIMEOUT) => {
            return Ok(0);
        }
        deleted => deleted?.rows_affected(),
    };
    transaction.commit().await?;
    if is_sqlite {
        // A checkpoint after each batch moves few pages from the log into the file.
        // Otherwise some request's write would trigger one large checkpoint.
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(database)
            .await?;
    }
    Ok(rows)
}
