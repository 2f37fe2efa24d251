//! Deleting expired rows in small batches, so that no request waits long.
//!
//! Each statement deletes one row: a purge that holds no row while it waits for another
//! cannot deadlock with a request that locks several. Each statement checks the expiry
//! again, since the row may have been extended after it was found.

use crate::models::token::random_id;
use crate::models::{Connection, Database, Result, SQLITE, activity, sms_days};

/// Rows in a batch. On SQLite a batch blocks all writers for some milliseconds.
pub const BATCH: u64 = 10;

/// A lease that was not released expires after so many seconds. It is renewed before each
/// batch. If a batch takes longer, another instance may begin, which does no harm.
const LEASE: i64 = 60;

/// A challenge stays so many seconds after its end. Its sends count for a day and are
/// refunded by its row; one more hour is a margin for clocks that differ.
const CHALLENGE_KEPT: i64 = 25 * 60 * 60;

/// A kind of rows that are purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sessions past their end or their idle end.
    Sessions,
    /// Challenges that ended more than a day ago and have no queued email.
    Challenges,
    /// Emailed links that have expired.
    MailTokens,
    /// Rate limit windows that have ended.
    RateLimits,
    /// Former usernames that are no longer reserved.
    FormerUsernames,
    /// Events of accounts, after [`activity::KEPT`].
    Activity,
    /// Days of the SMS report, after [`sms_days::KEPT_DAYS`].
    SmsDays,
}

impl Kind {
    /// All kinds, in the order of the purge.
    pub const ALL: [Self; 7] = [
        Self::Sessions,
        Self::Challenges,
        Self::MailTokens,
        Self::RateLimits,
        Self::FormerUsernames,
        Self::Activity,
        Self::SmsDays,
    ];

    /// The rows' name in the log and for the operator.
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

    /// Deletes at most [`BATCH`] rows that have expired at `now`.
    pub async fn delete_some(self, database: &Database, now: i64) -> Result<Deleted> {
        let Some(expired) = self.expired(now) else {
            let rows = sms_days::delete_old(database, now).await?;
            return Ok(Deleted { rows, more: false });
        };
        expired.delete_some(&mut *database.acquire().await?).await
    }

    /// The expired rows at `now`. `None` for a kind that needs no batches.
    const fn expired(self, now: i64) -> Option<Expired> {
        Some(match self {
            Self::Sessions => Expired {
                until: now,
                find: "SELECT id FROM sessions WHERE expires_at <= $1 OR idle_expires_at <= $1 \
                    LIMIT $2",
                one: "DELETE FROM sessions WHERE id = $2 \
                    AND (expires_at <= $1 OR idle_expires_at <= $1)",
            },
            // A queued email has the id of its challenge.
            Self::Challenges => Expired {
                until: now - CHALLENGE_KEPT,
                find: "SELECT id FROM challenges WHERE expires_at <= $1 AND NOT EXISTS \
                    (SELECT 1 FROM outbox WHERE outbox.id = challenges.id) LIMIT $2",
                one: "DELETE FROM challenges WHERE id = $2 AND expires_at <= $1 AND NOT EXISTS \
                    (SELECT 1 FROM outbox WHERE outbox.id = challenges.id)",
            },
            Self::MailTokens => Expired {
                until: now,
                find: "SELECT token_hash FROM mail_tokens WHERE expires_at <= $1 LIMIT $2",
                one: "DELETE FROM mail_tokens WHERE token_hash = $2 AND expires_at <= $1",
            },
            Self::RateLimits => Expired {
                until: now,
                find: "SELECT key FROM rate_limits WHERE expires_at <= $1 LIMIT $2",
                one: "DELETE FROM rate_limits WHERE key = $2 AND expires_at <= $1",
            },
            Self::FormerUsernames => Expired {
                until: now,
                find: "SELECT username_key FROM former_usernames WHERE reserved_until <= $1 LIMIT $2",
                one: "DELETE FROM former_usernames WHERE username_key = $2 AND reserved_until <= $1",
            },
            Self::Activity => Expired {
                until: now - activity::KEPT,
                find: "SELECT id FROM activity WHERE at <= $1 LIMIT $2",
                one: "DELETE FROM activity WHERE id = $2 AND at <= $1",
            },
            Self::SmsDays => return None,
        })
    }
}

/// The statements that find and delete the expired rows of a kind.
struct Expired {
    /// The latest expiry of such a row.
    until: i64,
    find: &'static str,
    one: &'static str,
}

impl Expired {
    async fn delete_some(&self, connection: &mut Connection) -> Result<Deleted> {
        let found: Vec<String> = sqlx::query_scalar(self.find)
            .bind(self.until)
            .bind(BATCH.cast_signed())
            .fetch_all(&mut *connection)
            .await?;
        let (mut rows, more) = (0, found.len() as u64 == BATCH);
        for id in found {
            let done = sqlx::query(self.one).bind(self.until).bind(id);
            rows += done.execute(&mut *connection).await?.rows_affected();
        }
        if connection.backend_name() == SQLITE {
            // A checkpoint after each batch moves few pages from the log into the file.
            // Otherwise some request's write would trigger one large checkpoint.
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
                .execute(connection)
                .await?;
        }
        Ok(Deleted { rows, more })
    }
}

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Rows that it deleted. A parallel purge may have deleted some that it found.
    pub rows: u64,
    /// Whether there may be more rows.
    pub more: bool,
}

/// The right to purge. One instance holds it at a time.
#[derive(Debug)]
pub struct Lease(String);

impl Lease {
    /// A lease that is still to be acquired.
    pub fn new() -> Result<Self> {
        Ok(Self(random_id()?))
    }

    /// Acquires or renews the lease, unless another instance holds it. Returns whether it
    /// did. An expiry further ahead than [`LEASE`] was written by a wrong clock: that lease
    /// is free.
    pub async fn acquire(&self, database: &Database, now: i64) -> Result<bool> {
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
    pub async fn release(self, database: &Database) -> Result<()> {
        sqlx::query("DELETE FROM purge_turn WHERE name = 'purge' AND holder = $1")
            .bind(self.0)
            .execute(database)
            .await?;
        Ok(())
    }
}
