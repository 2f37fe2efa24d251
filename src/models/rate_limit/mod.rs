//! Rate limits: how often something may happen within a window of time.
//!
//! A bucket is one row: a key for limit and subject, how many attempts its window has
//! taken, and when that window ends. The key is a hash, since a name that somebody typed
//! may be a password. [`take`] counts an attempt in all of its buckets with one upsert,
//! which starts a new window where the old one has ended. So the count is exact for any
//! number of parallel attempts and instances, on both engines.
//!
//! A window starts with its first attempt. At most N attempts pass per window, and so at
//! most 2 N within the length of a window: N at the end of one, N at the start of the next.
//!
//! An attempt counts before the work that it is about, and is refunded where it turns out
//! not to matter. A process that dies between the two has counted one too many.

#[rustfmt::skip] // a line for each limit
mod limits;
mod sends;

pub use limits::*;
pub use sends::{BUDGETS, CodeRequest, SendLimits, budgets, forget_login_sends};

use std::fmt::Write;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::any::AnyArguments;
use sqlx::{Any, Arguments, QueryBuilder, Row};

use crate::models::client::Client;
use crate::models::{Connection, Error};

const DAY: i64 = 24 * 60 * 60;

/// A /48 of IPv6 may do so many times what one of its networks may.
const SITE_FACTOR: i64 = 10;

/// How many attempts a window of so many seconds takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The attempts that pass.
    pub capacity: i64,
    /// The length in seconds.
    pub seconds: i64,
}

/// What a limit counts by. A client is an IPv4 address or an IPv6 /64; its /48 has a bucket
/// of [`SITE_FACTOR`] times the size beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// The account.
    Account,
    /// The client.
    Client,
    /// The account and the client together, so that neither holds back the other's rest.
    AccountAndClient,
    /// What the caller names: a phone number, a name that was typed.
    Subject,
    /// Nothing: the whole service has one bucket.
    Service,
}

/// A limit, each window of which holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The name in the log and in the keys.
    pub name: &'static str,
    /// What it counts by.
    pub per: Per,
    /// From the shortest to the longest; none where a setting says how many a day.
    pub windows: &'static [Window],
    /// What people read when it is exceeded; when to try again follows.
    pub message: &'static str,
}

impl RateLimit {
    /// The buckets of one subject: one for each window.
    pub fn buckets(&self, subject: &str) -> Vec<Bucket> {
        self.scaled(subject, 1)
    }

    /// The buckets of an account and a client, as the limit counts them. Without a client
    /// those by client do not apply.
    pub fn buckets_of(&self, account: &str, client: Option<&Client>) -> Vec<Bucket> {
        let prefix = match self.per {
            Per::Client => String::new(),
            Per::AccountAndClient => format!("{account} "),
            Per::Account | Per::Subject | Per::Service => return self.buckets(account),
        };
        let Some(client) = client else {
            return Vec::new();
        };
        let mut buckets = self.buckets(&format!("{prefix}{}", client.network()));
        if let Some(site) = client.site() {
            buckets.extend(self.scaled(&format!("{prefix}{site}"), SITE_FACTOR));
        }
        buckets
    }

    /// The bucket of a limit whose capacity follows from a setting and goes by UTC days.
    pub fn daily(&self, capacity: i64, subject: &str) -> Bucket {
        Bucket {
            limit: *self,
            key: self.key(subject, DAY),
            capacity,
            period: Period::UtcDay,
        }
    }

    fn scaled(&self, subject: &str, factor: i64) -> Vec<Bucket> {
        let bucket = |window: &Window| Bucket {
            limit: *self,
            key: self.key(subject, window.seconds),
            capacity: window.capacity * factor,
            period: Period::Seconds(window.seconds),
        };
        self.windows.iter().map(bucket).collect()
    }

    /// The parts are kept apart by a byte that no text holds.
    fn key(&self, subject: &str, seconds: i64) -> String {
        let hash = Sha256::digest(format!("{}\0{subject}", self.name));
        format!("{}:{seconds}", HEXLOWER.encode(&hash))
    }
}

/// How long a window lasts.
#[derive(Debug, Clone, Copy)]
enum Period {
    Seconds(i64),
    UtcDay,
}

/// One window of a limit, for one subject.
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: RateLimit,
    key: String,
    capacity: i64,
    period: Period,
}

impl Bucket {
    const fn seconds(&self) -> i64 {
        match self.period {
            Period::Seconds(seconds) => seconds,
            Period::UtcDay => DAY,
        }
    }

    /// When a window that starts at `now` ends. A stored window that ends later was started
    /// by a clock that was ahead, and does not count.
    const fn end(&self, now: i64) -> i64 {
        match self.period {
            Period::Seconds(seconds) => now + seconds,
            Period::UtcDay => now - now.rem_euclid(DAY) + DAY,
        }
    }
}

/// An attempt that was counted, until it is refunded.
#[derive(Debug, Clone, Default)]
pub struct Attempt(Vec<Counted>);

/// An attempt in one bucket.
#[derive(Debug, Clone)]
struct Counted {
    limit: RateLimit,
    key: String,
    expires_at: i64,
}

impl Attempt {
    /// The parts that count under one of these limits.
    pub fn under(&self, limits: &[RateLimit]) -> Self {
        let parts = self.0.iter().filter(|it| limits.contains(&it.limit));
        Self(parts.cloned().collect())
    }

    /// The parts that count under none of these limits.
    pub fn not_under(&self, limits: &[RateLimit]) -> Self {
        let parts = self.0.iter().filter(|it| !limits.contains(&it.limit));
        Self(parts.cloned().collect())
    }

    /// Adds what another attempt counted.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// An attempt that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rate limit exceeded: {}", .limit.name)]
pub struct RateLimitExceeded {
    /// The limit that holds longest.
    pub limit: RateLimit,
    /// Seconds until its window ends, at least one.
    pub retry_after: i64,
}

/// Counts an attempt in all of these buckets, or in none of them where one is full. Within a
/// transaction that locks other rows too, this comes after them: all attempts lock their
/// buckets in the same order.
pub async fn take(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Result<Attempt, RateLimitExceeded>, Error> {
    let taken = try_take(connection, buckets, now).await?;
    if let Err(exceeded) = &taken {
        let (limit, retry_after) = (exceeded.limit.name, exceeded.retry_after);
        tracing::warn!(event = "limited", limit, retry_after, "rate limit exceeded");
    }
    Ok(taken)
}

/// The same where a full bucket is nothing to warn of.
pub(super) async fn try_take(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Result<Attempt, RateLimitExceeded>, Error> {
    let mut sorted = buckets.to_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.dedup_by(|a, b| a.key == b.key);
    let has_room = sorted.iter().all(|bucket| bucket.capacity > 0);
    let counted = match has_room && !sorted.is_empty() {
        true => count(connection, &sorted, now).await?,
        false => Attempt::default(),
    };
    if counted.0.len() == sorted.len() {
        return Ok(Ok(counted));
    }
    refund(connection, &counted).await?;
    match exceeded(connection, buckets, now).await? {
        Some(exceeded) => Ok(Err(exceeded)),
        // Another connection has just made room.
        None => Ok(Err(RateLimitExceeded {
            limit: sorted.swap_remove(0).limit,
            retry_after: 1,
        })),
    }
}

/// Counts an attempt in each bucket that is not full.
async fn count(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Attempt, Error> {
    let mut arguments = AnyArguments::default();
    bind(&mut arguments, now)?;
    for bucket in buckets {
        bind(&mut arguments, bucket.key.clone())?;
        bind(&mut arguments, bucket.capacity)?;
        bind(&mut arguments, bucket.end(now))?;
    }
    let rows = QueryBuilder::<Any>::with_arguments(INSERT, arguments)
        .push(values(buckets.len(), 2, 1))
        .push(
            "ON CONFLICT (key) DO UPDATE SET
                capacity = excluded.capacity,
                count = CASE
                    WHEN rate_limits.expires_at > $1 AND rate_limits.expires_at <= excluded.expires_at
                    THEN rate_limits.count + 1
                    ELSE 1
                END,
                expires_at = CASE
                    WHEN rate_limits.expires_at > $1 AND rate_limits.expires_at <= excluded.expires_at
                    THEN rate_limits.expires_at
                    ELSE excluded.expires_at
                END
            WHERE rate_limits.count < excluded.capacity
                OR rate_limits.expires_at <= $1
                OR rate_limits.expires_at > excluded.expires_at
            RETURNING key, count, expires_at",
        )
        .build()
        .fetch_all(connection)
        .await?;
    let mut counted = Attempt::default();
    for row in rows {
        let key: String = row.try_get("key")?;
        if let Some(bucket) = buckets.iter().find(|bucket| bucket.key == key) {
            warn_of_budget(bucket, row.try_get("count")?);
            let (limit, expires_at) = (bucket.limit, row.try_get("expires_at")?);
            counted.0.push(Counted {
                limit,
                key,
                expires_at,
            });
        }
    }
    Ok(counted)
}

/// Which of these limits is exceeded now, if any: the one that holds longest.
pub async fn exceeded(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Option<RateLimitExceeded>, Error> {
    let usage = usage(connection, buckets, now).await?;
    let full = buckets.iter().zip(usage).rev(); // of several, the first
    let full = full.filter(|(bucket, used)| used.count >= bucket.capacity);
    let exceeded = full.map(|(bucket, used)| RateLimitExceeded {
        limit: bucket.limit,
        retry_after: (used.expires_at - now).max(1),
    });
    Ok(exceeded.max_by_key(|it| it.retry_after))
}

/// What a bucket's window has taken.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Attempts that count.
    pub count: i64,
    /// When the window began and when it ends, in Unix seconds.
    pub started_at: i64,
    expires_at: i64,
}

/// How much of each bucket is used, in their order.
pub async fn usage(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Vec<Usage>, Error> {
    let mut arguments = AnyArguments::default();
    bind(&mut arguments, now)?;
    let mut keys = String::from("''");
    for bucket in buckets {
        bind(&mut arguments, bucket.key.clone())?;
        let _ = write!(keys, ", ${}", arguments.len());
    }
    let select = "SELECT key, count, expires_at FROM rate_limits WHERE expires_at > $1 AND key IN ";
    let rows = QueryBuilder::<Any>::with_arguments(select, arguments)
        .push(format!("({keys})"))
        .build()
        .fetch_all(connection)
        .await?;
    let mut usage = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let (mut count, mut expires_at) = (0, bucket.end(now));
        for row in &rows {
            let end = row.try_get("expires_at")?;
            if row.try_get::<&str, _>("key")? == bucket.key && end <= expires_at {
                (count, expires_at) = (row.try_get("count")?, end);
            }
        }
        usage.push(Usage {
            count,
            started_at: expires_at - bucket.seconds(),
            expires_at,
        });
    }
    Ok(usage)
}

/// Takes an attempt back, in the windows that counted it.
pub async fn refund(connection: &mut Connection, attempt: &Attempt) -> Result<(), Error> {
    let counted = attempt.0.iter();
    let refunds = counted.map(|it| (it.key.clone(), 1, it.expires_at));
    lower(connection, refunds.collect()).await
}

/// Takes so many attempts back that began at `since`. A window that has started after that
/// did not count them, and stays.
pub async fn refund_since(
    connection: &mut Connection,
    buckets: &[Bucket],
    count: i64,
    since: i64,
) -> Result<(), Error> {
    let refunds = buckets.iter();
    let refunds = refunds.map(|bucket| (bucket.key.clone(), count, bucket.end(since)));
    lower(connection, refunds.collect()).await
}

/// Empties these buckets.
pub async fn reset(connection: &mut Connection, buckets: &[Bucket], now: i64) -> Result<(), Error> {
    refund_since(connection, buckets, i64::MAX, now).await
}

/// Lowers the counts of keys, in windows that end by a time. An upsert, since a DELETE or
/// UPDATE of several rows would lock them in any order; where the row has gone it leaves an
/// empty one.
async fn lower(
    connection: &mut Connection,
    mut refunds: Vec<(String, i64, i64)>,
) -> Result<(), Error> {
    if refunds.is_empty() {
        return Ok(());
    }
    refunds.sort();
    let values = values(refunds.len(), 1, 0);
    let mut arguments = AnyArguments::default();
    for (key, count, until) in refunds {
        bind(&mut arguments, key)?;
        bind(&mut arguments, count)?;
        bind(&mut arguments, until)?;
    }
    QueryBuilder::<Any>::with_arguments(INSERT, arguments)
        .push(values)
        .push(
            "ON CONFLICT (key) DO UPDATE SET
                count = CASE
                    WHEN rate_limits.count > excluded.capacity
                    THEN rate_limits.count - excluded.capacity
                    ELSE 0
                END
            WHERE rate_limits.expires_at <= excluded.expires_at",
        )
        .build()
        .execute(connection)
        .await?;
    Ok(())
}

/// How both statements that write begin. `capacity` holds how many to take back in the one
/// that refunds.
const INSERT: &str = "INSERT INTO rate_limits (key, capacity, expires_at, count) VALUES ";

/// `($2, $3, $4, 1), ($5, $6, $7, 1) `: so many rows, from a placeholder on, with a count.
fn values(rows: usize, first: usize, count: i64) -> String {
    let row = |row: usize| {
        let at = first + 3 * row;
        format!("(${}, ${}, ${}, {count})", at, at + 1, at + 2)
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ") + " "
}

fn bind<'t, T>(arguments: &mut AnyArguments, value: T) -> Result<(), Error>
where
    T: sqlx::Encode<'t, Any> + sqlx::Type<Any>,
{
    Ok(arguments.add(value).map_err(sqlx::Error::Encode)?)
}

/// Says when half, four fifths and all of a service-wide budget are used: each once, since
/// every attempt raises the count by one.
fn warn_of_budget(bucket: &Bucket, count: i64) {
    if bucket.limit.per != Per::Service {
        return;
    }
    let (budget, capacity) = (bucket.limit.name, bucket.capacity);
    let reaches = |percent: i64| count == (capacity * percent + 99) / 100;
    if reaches(100) {
        tracing::error!(
            event = "budget_used_up",
            budget,
            capacity,
            "a daily budget is used up"
        );
    } else if reaches(80) || reaches(50) {
        tracing::warn!(
            event = "budget_running_out",
            budget,
            count,
            capacity,
            "a daily budget is running out"
        );
    }
}
