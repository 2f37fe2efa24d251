//! Deleting what has expired, a few rows in one go, so that no request waits long behind it.
//! Each row goes by a statement of its own: a purge that holds no row while it waits for
//! another cannot deadlock with a request that locks several. Each statement asks again,
//! since the row may have been prolonged after it was found.

use crate::models::token::random_id;
use crate::models::{Connection, Database, Error, SQLITE, activity, sms_days};

/// The most rows that are deleted in one go: some milliseconds, in which SQLite lets nobody
/// else write, and as many for the disk to write them.
pub const BATCH: u64 = 10;

/// A lease that was not released expires after so many seconds. It is renewed before each
/// batch. If a batch takes longer, another instance may begin, which does no harm.
const LEASE: i64 = 60;

/// A challenge stays so many seconds after its end: what it sent counts for a day, and may
/// be forgotten by its row. An hour more is a margin for clocks that differ.
const CHALLENGE_KEPT: i64 = 25 * 60 * 60;

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sessions past either of their ends.
    Sessions,
    /// Challenges that ended more than a day ago and that no queued mail names.
    Challenges,
    /// Links that were mailed and are too old.
    MailTokens,
    /// Windows of rate limits that have ended.
    RateLimits,
    /// Former usernames that are free again.
    FormerUsernames,
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
        Self::RateLimits,
        Self::FormerUsernames,
        Self::Activity,
        Self::SmsDays,
    ];

    /// What the rows are, for the log and for the operator.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Challenges => "verifications",
            Self::MailTokens => "mailed links",
            Self::RateLimits => "rate limits",
            Self::FormerUsernames => "former usernames",
            Self::Activity => "activity",
            Self::SmsDays => "days of the SMS report",
        }
    }

    /// Deletes what is over at `now`, at most [`BATCH`] rows.
    pub async fn delete_some(self, database: &Database, now: i64) -> Result<Deleted, Error> {
        let Some(over) = self.over(now) else {
            let rows = sms_days::delete_old(database, now).await?;
            return Ok(Deleted { rows, more: false });
        };
        over.delete_some(&mut *database.acquire().await?).await
    }

    /// What is over of this kind at `now`, unless there is so little that it goes at once.
    const fn over(self, now: i64) -> Option<Over> {
        Some(match self {
            Self::Sessions => Over {
                until: now,
                find: "SELECT id FROM sessions WHERE expires_at <= $1 OR idle_expires_at <= $1 \
                    LIMIT $2",
                one: "DELETE FROM sessions WHERE id = $2 \
                    AND (expires_at <= $1 OR idle_expires_at <= $1)",
            },
            // A queued mail has the id of the verification that it is about.
            Self::Challenges => Over {
                until: now - CHALLENGE_KEPT,
                find: "SELECT id FROM challenges WHERE expires_at <= $1 AND NOT EXISTS \
                    (SELECT 1 FROM outbox WHERE outbox.id = challenges.id) LIMIT $2",
                one: "DELETE FROM challenges WHERE id = $2 AND expires_at <= $1 AND NOT EXISTS \
                    (SELECT 1 FROM outbox WHERE outbox.id = challenges.id)",
            },
            Self::MailTokens => Over {
                until: now,
                find: "SELECT token_hash FROM mail_tokens WHERE expires_at <= $1 LIMIT $2",
                one: "DELETE FROM mail_tokens WHERE token_hash = $2 AND expires_at <= $1",
            },
            Self::RateLimits => Over {
                until: now,
                find: "SELECT key FROM rate_limits WHERE expires_at <= $1 LIMIT $2",
                one: "DELETE FROM rate_limits WHERE key = $2 AND expires_at <= $1",
            },
            Self::FormerUsernames => Over {
                until: now,
                find: "SELECT username_key FROM former_usernames WHERE reserved_until <= $1 LIMIT $2",
                one: "DELETE FROM former_usernames WHERE username_key = $2 AND reserved_until <= $1",
            },
            Self::Activity => Over {
                until: now - activity::KEPT,
                find: "SELECT id FROM activity WHERE at <= $1 LIMIT $2",
                one: "DELETE FROM activity WHERE id = $2 AND at <= $1",
            },
            Self::SmsDays => return None,
        })
    }
}

/// The rows of a kind that are over.
struct Over {
    /// The last second of those that are.
    until: i64,
    /// Finds some.
    find: &'static str,
    /// Deletes one of them.
    one: &'static str,
}

impl Over {
    async fn delete_some(&self, connection: &mut Connection) -> Result<Deleted, Error> {
        let found: Vec<String> = sqlx::query_scalar(self.find)
            .bind(self.until)
            .bind(limit())
            .fetch_all(&mut *connection)
            .await?;
        let (mut rows, more) = (0, found.len() as u64 == BATCH);
        for id in found {
            let done = sqlx::query(self.one).bind(self.until).bind(id);
            rows += done.execute(&mut *connection).await?.rows_affected();
        }
        if connection.backend_name() == SQLITE {
            // What was deleted goes from the log into the file a little after each batch,
            // instead of all at once after the write of somebody who waits for it.
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
                .execute(connection)
                .await?;
        }
        Ok(Deleted { rows, more })
    }
}

fn limit() -> i64 {
    i64::try_from(BATCH).unwrap_or(i64::MAX)
}

/// What one go has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Rows that it deleted: fewer than it found where another purge was at the same ones.
    pub rows: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// The right to purge. Of all instances on a database, one holds it at a time.
#[derive(Debug)]
pub struct Lease(String);

impl Lease {
    /// A lease that is still to be acquired.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(random_id()?))
    }

    /// Acquires or renews the lease, unless another instance holds it. Returns whether it
    /// did. An expiry further ahead than [`LEASE`] was written by a wrong clock: that lease
    /// is free.
    pub async fn acquire(&self, database: &Database, now: i64) -> Result<bool, Error> {
        let done = sqlx::query(
            "INSERT INTO purge_turn (name, holder, expires_at) VALUES ('purge', $1, $2) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
             expires_at = excluded.expires_at WHERE purge_turn.holder = excluded.holder \
             OR purge_turn.expires_at <= $3 OR purge_turn.expires_at > $2",
        )
        .bind(&self.0)
        .bind(now + LEASE)
        .bind(now)
        .execute(database)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Releases the lease, unless it was lost.
    pub async fn release(self, database: &Database) -> Result<(), Error> {
        sqlx::query("DELETE FROM purge_turn WHERE name = 'purge' AND holder = $1")
            .bind(self.0)
            .execute(database)
            .await?;
        Ok(())
    }
}
