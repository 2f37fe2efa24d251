//! Rate limits: how often something may happen within a window of time.
//!
//! A bucket is one row: the key of a limit and a subject, the number of attempts in its
//! window, and the window's end. The key is a hash, since a typed username may be a password.
//! [`take`] counts an attempt in all its buckets with one upsert, which starts a new window
//! after the old one has ended. So the count is exact for any number of parallel attempts and
//! instances, on both engines.
//!
//! A window starts with its first attempt. At most N attempts pass per window, and so at most
//! 2 N within a window's length: N at the end of one window, N at the start of the next.
//!
//! An attempt counts before its work, and is refunded if it turns out not to matter. If the
//! process dies between the two, the attempt stays counted.

#[rustfmt::skip] // one line per limit
mod limits;
mod sends;
mod statements;

pub use limits::*;
pub use sends::{BUDGETS, CodeRequest, SendLimits, budgets, refund_login_sends};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::models::client::Client;
use crate::models::rate_limit::statements::{Refund, count, lower};
use crate::models::{Connection, Result};

const DAY: i64 = 24 * 60 * 60;

/// Seconds by which the clocks of two instances may differ.
const CLOCK_SKEW: i64 = 60;

/// The capacity of an IPv6 /48, as a multiple of one /64's.
const SITE_FACTOR: i64 = 10;

/// A window of time and the attempts that it permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub capacity: i64,
    pub seconds: i64,
}

/// The subject of a limit. A client is an IPv4 address or an IPv6 /64, whose /48 has another
/// bucket of [`SITE_FACTOR`] times the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Account,
    Client,
    /// The account and the client together: other clients of the account and other accounts
    /// of the client are not affected.
    AccountAndClient,
    /// A text of the caller's, such as a phone number or a typed username.
    Subject,
    /// One bucket for the whole service.
    Service,
}

/// A limit. All its windows apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The name in the log and in the keys.
    pub name: &'static str,
    pub per: Per,
    /// From the shortest to the longest. Empty if a setting defines the daily capacity.
    pub windows: &'static [Window],
    /// The message to the user; the time of the next attempt follows it.
    pub message: &'static str,
}

impl RateLimit {
    /// Returns the buckets of a subject, one per window.
    pub fn buckets(&self, subject: &str) -> Vec<Bucket> {
        self.scaled(subject, 1)
    }

    /// Returns the buckets of an account and a client. Limits by client have none without a
    /// client.
    pub fn buckets_for(&self, account: &str, client: Option<&Client>) -> Vec<Bucket> {
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

    /// Returns the bucket of a limit whose capacity is set per UTC day.
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

    /// Separates the parts by a byte that no text contains.
    fn key(&self, subject: &str, seconds: i64) -> String {
        let hash = Sha256::digest(format!("{}\0{subject}", self.name));
        format!("{}:{seconds}", HEXLOWER.encode(&hash))
    }
}

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

    /// The end of a window that starts at `now`. A stored window that ends more than
    /// [`CLOCK_SKEW`] later was started by a wrong clock and does not count.
    const fn end(&self, now: i64) -> i64 {
        match self.period {
            Period::Seconds(seconds) => now + seconds,
            Period::UtcDay => now - now.rem_euclid(DAY) + DAY,
        }
    }
}

/// A counted attempt, which can be refunded.
#[derive(Debug, Clone, Default)]
pub struct Attempt(Vec<Counted>);

#[derive(Debug, Clone)]
struct Counted {
    limit: RateLimit,
    key: String,
    expires_at: i64,
}

impl Attempt {
    /// The part that counts under one of these limits.
    pub fn under(&self, limits: &[RateLimit]) -> Self {
        self.filter(|limit| limits.contains(limit))
    }

    /// The part that counts under none of these limits.
    pub fn not_under(&self, limits: &[RateLimit]) -> Self {
        self.filter(|limit| !limits.contains(limit))
    }

    fn filter(&self, is_kept: impl Fn(&RateLimit) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|it| is_kept(&it.limit))
                .cloned()
                .collect(),
        )
    }

    /// Adds the parts of another attempt.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// A refused attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rate limit exceeded: {}", .limit.name)]
pub struct RateLimitExceeded {
    /// The full bucket's limit. Of several, the one whose window ends last.
    pub limit: RateLimit,
    /// Seconds until its window ends, at least one.
    pub retry_after: i64,
}

/// Counts an attempt in all of these buckets, or in none if one is full. All attempts lock
/// their buckets in the same order. A transaction must lock all other rows before.
pub async fn take(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Result<Attempt, RateLimitExceeded>> {
    let result = try_take(connection, buckets, now).await?;
    if let Err(exceeded) = &result {
        let (limit, retry_after) = (exceeded.limit.name, exceeded.retry_after);
        tracing::warn!(event = "limited", limit, retry_after, "rate limit exceeded");
    }
    Ok(result)
}

/// The same without a warning in the log.
pub(super) async fn try_take(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Result<Attempt, RateLimitExceeded>> {
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
        // Another connection refunded an attempt meanwhile.
        None => Ok(Err(RateLimitExceeded {
            limit: sorted.swap_remove(0).limit,
            retry_after: 1,
        })),
    }
}

/// Finds the exceeded limit whose window ends last, if any is exceeded.
pub async fn exceeded(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Option<RateLimitExceeded>> {
    let usage = usage(connection, buckets, now).await?;
    let full = buckets.iter().zip(usage).rev(); // of several, the first
    let full = full.filter(|(bucket, used)| used.count >= bucket.capacity);
    let exceeded = full.map(|(bucket, used)| RateLimitExceeded {
        limit: bucket.limit,
        retry_after: (used.expires_at - now).max(1),
    });
    Ok(exceeded.max_by_key(|it| it.retry_after))
}

/// The state of a bucket's window.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub count: i64,
    /// The start of the window, in Unix seconds.
    pub started_at: i64,
    expires_at: i64,
}

/// Loads the usage of each bucket, in their order.
pub async fn usage(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Vec<Usage>> {
    let mut usage = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let end = bucket.end(now);
        let row: Option<(i64, i64)> = sqlx::query_as(
            r"SELECT count, expires_at
            FROM rate_limits
            WHERE key = $1 AND expires_at > $2 AND expires_at <= $3",
        )
        .bind(&bucket.key)
        .bind(now)
        .bind(end + CLOCK_SKEW)
        .fetch_optional(&mut *connection)
        .await?;
        let (count, expires_at) = row.unwrap_or((0, end));
        usage.push(Usage {
            count,
            started_at: expires_at - bucket.seconds(),
            expires_at,
        });
    }
    Ok(usage)
}

/// Refunds an attempt in the windows that counted it.
pub async fn refund(connection: &mut Connection, attempt: &Attempt) -> Result<()> {
    let refund = |it: &Counted| Refund {
        key: it.key.clone(),
        count: 1,
        until: it.expires_at,
    };
    lower(connection, attempt.0.iter().map(refund).collect()).await
}

/// Refunds `count` attempts since a time, except in windows that started later.
pub async fn refund_since(
    connection: &mut Connection,
    buckets: &[Bucket],
    count: i64,
    since: i64,
) -> Result<()> {
    lower(connection, refunds_for(buckets, count, since)).await
}

fn refunds_for(buckets: &[Bucket], count: i64, since: i64) -> Vec<Refund> {
    let refund = |bucket: &Bucket| Refund {
        key: bucket.key.clone(),
        count,
        until: bucket.end(since),
    };
    buckets.iter().map(refund).collect()
}

/// Empties these buckets.
pub async fn reset(connection: &mut Connection, buckets: &[Bucket], now: i64) -> Result<()> {
    lower(connection, resets_for(buckets, now)).await
}

/// Covers every window that counts at `now`, also one of an instance whose clock is ahead.
fn resets_for(buckets: &[Bucket], now: i64) -> Vec<Refund> {
    refunds_for(buckets, i64::MAX, now + CLOCK_SKEW)
}
