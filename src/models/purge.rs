//! Deleting what is over. Each statement takes a few rows, so that no request waits
//! long behind it, and asks again what it deletes: on PostgreSQL a row may have been
//! prolonged between being found and being deleted.

use crate::models::{Database, Error, activity, sms_days};

/// The most rows that one statement deletes.
pub const BATCH: u64 = 100;

const DAY: i64 = 24 * 60 * 60;

/// A verification stays so many seconds after its end: what it counts against
/// matters for a day, and its clearing goes by its row. An hour more is a margin
/// for clocks that differ.
const CHALLENGE_KEPT: i64 = DAY + 60 * 60;

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sessions past either of their ends.
    Sessions,
    /// Verifications that ended more than a day ago and that no queued mail names.
    Challenges,
    /// Links that were mailed and are too old.
    MailTokens,
    /// Attempts that no limit counts any more.
    Hits,
    /// The rows that are locked to count them.
    Locks,
    /// What happened to accounts, after [`activity::KEPT`].
    Activity,
    /// Days of the SMS report, after [`sms_days::KEPT_DAYS`].
    SmsDays,
}

impl Kind {
    /// All of them, in the order in which they are purged.
    pub const ALL: [Self; 7] = [
        Self::Sessions,
        Self::Challenges,
        Self::MailTokens,
        Self::Hits,
        Self::Locks,
        Self::Activity,
        Self::SmsDays,
    ];

    /// What the rows are, for the log and for the operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Challenges => "verifications",
            Self::MailTokens => "mailed links",
            Self::Hits => "counted attempts",
            Self::Locks => "counters",
            Self::Activity => "activity",
            Self::SmsDays => "days of the SMS report",
        }
    }

    /// Deletes what is over at `now`, as many rows as one statement may, and returns
    /// how many: fewer than [`BATCH`] when none is left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_some(self, database: &Database, now: i64) -> Result<u64, Error> {
        let (statement, until) = match self {
            Self::Sessions => (
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
                 WHERE expires_at <= $1 OR idle_expires_at <= $1 LIMIT $2) \
                 AND (expires_at <= $1 OR idle_expires_at <= $1)",
                now,
            ),
            // A queued mail has the id of the verification that it is about.
            Self::Challenges => (
                "DELETE FROM challenges WHERE id IN (SELECT id FROM challenges \
                 WHERE expires_at <= $1 AND NOT EXISTS \
                 (SELECT 1 FROM outbox WHERE outbox.id = challenges.id) LIMIT $2)",
                now - CHALLENGE_KEPT,
            ),
            Self::MailTokens => (
                "DELETE FROM mail_tokens WHERE token_hash IN (SELECT token_hash \
                 FROM mail_tokens WHERE expires_at <= $1 LIMIT $2)",
                now,
            ),
            Self::Hits => (
                "DELETE FROM throttle_hits WHERE id IN (SELECT id FROM throttle_hits \
                 WHERE expires_at <= $1 LIMIT $2) AND expires_at <= $1",
                now,
            ),
            Self::Locks => (
                "DELETE FROM throttle_locks WHERE bucket IN (SELECT bucket \
                 FROM throttle_locks WHERE expires_at <= $1 LIMIT $2) AND expires_at <= $1",
                now,
            ),
            Self::Activity => (
                "DELETE FROM activity WHERE id IN (SELECT id FROM activity \
                 WHERE at <= $1 LIMIT $2)",
                now - activity::KEPT,
            ),
            Self::SmsDays => return sms_days::delete_old(database, now).await,
        };
        let done = sqlx::query(statement)
            .bind(until)
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .execute(database)
            .await?;
        Ok(done.rows_affected())
    }
}
