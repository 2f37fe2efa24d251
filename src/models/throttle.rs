//! Counting attempts against their limits.
//!
//! Each attempt leaves a hit in every bucket that it counts in: a bucket is a
//! limit and whom it counts, kept as a hash, since the name that somebody typed may
//! be a password. Windows slide: the attempt is refused while as many hits as the
//! limit allows lie within the window. Counting and adding happen in one
//! transaction, behind a lock on the bucket's row, so that of any number of
//! parallel attempts no more than the limit come through, over all instances.
//!
//! A hit is added before the work that it is about, and taken back where that was
//! no failure: a process that dies between the two has counted one too many,
//! never one too few.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::{Acquire, Any};

use crate::models::challenge::id::ChallengeId;
use crate::models::limits::{self, Limit, Window};
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Error};

/// A limit, and whom it counts.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: &'static str,
    windows: Vec<Window>,
    hash: String,
    /// Set where the limit is on different things: the same one counts once.
    thing: Option<String>,
    /// Whether a hit counts though the code was entered rightly.
    stays: bool,
}

impl Limit {
    /// The limit for one account, address, number, or what else `of` names.
    #[must_use]
    pub fn bucket(&self, of: &str) -> Bucket {
        Bucket::new(self.name, self.windows.to_vec(), of)
    }
}

impl Bucket {
    /// A limit whose windows are a setting's.
    #[must_use]
    pub fn new(name: &'static str, windows: Vec<Window>, of: &str) -> Self {
        Self {
            name,
            windows,
            hash: hash(&[name, of]),
            thing: None,
            stays: false,
        }
    }

    /// The same, where the limit is on different things and this is one of them.
    #[must_use]
    pub fn of_different(self, thing: &str) -> Self {
        let thing = Some(hash(&[&self.hash, thing]));
        Self { thing, ..self }
    }

    /// The same, where a hit counts though the code was entered rightly.
    #[must_use]
    pub fn that_stays(self) -> Self {
        let stays = true;
        Self { stays, ..self }
    }
}

/// Parts are told apart by a byte that no text holds.
fn hash(parts: &[&str]) -> String {
    HEXLOWER.encode(&Sha256::digest(parts.join("\u{0}")))
}

/// An attempt that was let through and counts, until it is taken back.
#[derive(Debug, Clone)]
pub struct Attempt(String);

/// An attempt that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many: {limit}")]
pub struct TooMany {
    /// The name of the limit.
    pub limit: &'static str,
    /// Seconds until it lets another one through, at least one.
    pub retry_after: i64,
}

/// Counts an attempt in all of these buckets, or in none where one of them is
/// full. To be called within the transaction of what is counted, or one that is
/// rolled back where the attempt is refused. Callers that lock other rows too do
/// that before; and buckets stand in the order of `limits.rs`, since two
/// transactions that lock them crosswise would wait for each other.
///
/// # Errors
/// When the database fails or there are no random numbers.
pub async fn count(
    connection: &mut Connection,
    buckets: &[Bucket],
    challenge: Option<&ChallengeId>,
    now: i64,
) -> Result<Result<Attempt, TooMany>, Error> {
    for bucket in buckets {
        bucket.lock(connection, now).await?;
    }
    if let Some(too_many) = refusal(connection, buckets, now).await? {
        tracing::warn!(
            event = "limited",
            limit = too_many.limit,
            retry_after = too_many.retry_after,
            "an attempt was refused"
        );
        return Ok(Err(too_many));
    }
    let attempt = Attempt(random_id()?);
    for bucket in buckets {
        bucket.add(connection, &attempt, challenge, now).await?;
    }
    Ok(Ok(attempt))
}

/// Counts an attempt in a transaction of its own, on a connection of a pool or this one.
///
/// # Errors
/// When the database fails or there are no random numbers.
pub async fn count_alone<'a>(
    database: impl Acquire<'a, Database = Any>,
    buckets: &[Bucket],
    now: i64,
) -> Result<Result<Attempt, TooMany>, Error> {
    let mut transaction = database.begin().await?;
    let counted = count(&mut transaction, buckets, None, now).await?;
    if counted.is_ok() {
        transaction.commit().await?;
    }
    Ok(counted)
}

/// Why an attempt would be refused now, if it would: the limit that holds longest.
///
/// # Errors
/// When the database fails.
pub async fn refusal(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Option<TooMany>, Error> {
    let mut longest: Option<TooMany> = None;
    for bucket in buckets {
        let found = bucket.refusal(connection, now).await?;
        longest = longest
            .into_iter()
            .chain(found)
            .max_by_key(|it| it.retry_after);
    }
    Ok(longest)
}

/// An attempt that failed stays counted. This writes what stands there already,
/// for a transaction that writes something else only where somebody has a name: one
/// that has nothing to write ends sooner, and that would tell.
///
/// # Errors
/// When the database fails.
pub async fn keep(connection: &mut Connection, attempt: &Attempt) -> Result<(), Error> {
    sqlx::query("UPDATE throttle_hits SET at = at WHERE attempt = $1")
        .bind(&attempt.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// An attempt no longer counts, where it turned out to be no failure.
///
/// # Errors
/// When the database fails.
pub async fn take_back(connection: &mut Connection, attempt: &Attempt) -> Result<(), Error> {
    sqlx::query("DELETE FROM throttle_hits WHERE attempt = $1")
        .bind(&attempt.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// An attempt no longer counts under one of its limits.
///
/// # Errors
/// When the database fails.
pub async fn take_back_from(
    connection: &mut Connection,
    attempt: &Attempt,
    limit: &str,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM throttle_hits WHERE attempt = $1 AND limit_name = $2")
        .bind(&attempt.0)
        .bind(limit)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets every hit in a bucket.
///
/// # Errors
/// When the database fails.
pub async fn clear(connection: &mut Connection, bucket: &Bucket) -> Result<(), Error> {
    sqlx::query("DELETE FROM throttle_hits WHERE bucket = $1")
        .bind(&bucket.hash)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what a verification counted: its code was entered rightly.
///
/// # Errors
/// When the database fails.
pub async fn clear_challenge(
    connection: &mut Connection,
    challenge: &ChallengeId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM throttle_hits WHERE challenge_id = $1")
        .bind(challenge.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what all of an account's verifications counted but those for enabling,
/// which somebody may use to send codes to others.
///
/// # Errors
/// When the database fails.
pub async fn clear_account(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM throttle_hits WHERE challenge_id IN \
         (SELECT id FROM challenges WHERE user_id = $1 AND purpose <> 'enable')",
    )
    .bind(user.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets the codes that were sent for an account's log-ins and never entered: whoever
/// began those knew a password that works no more. Wrong codes stay counted.
///
/// # Errors
/// When the database fails.
pub async fn clear_sends(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM throttle_hits WHERE bucket = $1 AND challenge_id IN \
         (SELECT id FROM challenges WHERE user_id = $2 AND purpose <> 'enable')",
    )
    .bind(limits::SENDS_OF_ACCOUNT.bucket(user.as_str()).hash)
    .bind(user.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what was counted against an account and its verifications, with the
/// account itself.
///
/// # Errors
/// When the database fails.
pub async fn forget_account(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM throttle_hits WHERE challenge_id IN \
         (SELECT id FROM challenges WHERE user_id = $1)",
    )
    .bind(user.as_str())
    .execute(&mut *connection)
    .await?;
    for limit in limits::OF_ACCOUNT {
        clear(connection, &limit.bucket(user.as_str())).await?;
    }
    let share = Bucket::new(limits::ALL_SENDS_OF_ACCOUNT, Vec::new(), user.as_str());
    clear(connection, &share).await?;
    Ok(())
}

/// What one verification counted goes over to the one that carries it on.
///
/// # Errors
/// When the database fails.
pub async fn hand_over(
    connection: &mut Connection,
    from: &ChallengeId,
    to: &ChallengeId,
) -> Result<(), Error> {
    sqlx::query("UPDATE throttle_hits SET challenge_id = $1 WHERE challenge_id = $2")
        .bind(to.as_str())
        .bind(from.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

impl Bucket {
    fn longest(&self) -> i64 {
        let lengths = self.windows.iter().map(|window| window.seconds);
        lengths.max().unwrap_or_default()
    }

    async fn lock(&self, connection: &mut Connection, now: i64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO throttle_locks (bucket, expires_at) VALUES ($1, $2) \
             ON CONFLICT (bucket) DO UPDATE SET expires_at = excluded.expires_at",
        )
        .bind(&self.hash)
        .bind(now + self.longest())
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn refusal(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<Option<TooMany>, Error> {
        let mut longest = None;
        for window in &self.windows {
            let Some(decisive) = self.decisive(connection, *window, now).await? else {
                continue;
            };
            let retry_after = (decisive + window.seconds - now).max(1);
            longest = longest.max(Some(retry_after));
        }
        Ok(longest.map(|retry_after| TooMany {
            limit: self.name,
            retry_after,
        }))
    }

    /// When the hit was that has to leave the window before another one is let
    /// through; none where one is now.
    async fn decisive(
        &self,
        connection: &mut Connection,
        window: Window,
        now: i64,
    ) -> Result<Option<i64>, Error> {
        let since = now - window.seconds;
        if window.most <= 0 {
            return Ok(Some(now));
        }
        // The same thing again takes no place of its own.
        let at = sqlx::query_scalar(
            "SELECT at FROM throttle_hits WHERE bucket = $1 AND at > $2 AND NOT EXISTS \
             (SELECT 1 FROM throttle_hits same WHERE same.id = $3 AND same.at > $2) \
             ORDER BY at DESC LIMIT 1 OFFSET $4",
        )
        .bind(&self.hash)
        .bind(since)
        .bind(self.thing.as_deref().unwrap_or_default())
        .bind(window.most - 1)
        .fetch_optional(connection)
        .await?;
        Ok(at)
    }

    async fn add(
        &self,
        connection: &mut Connection,
        attempt: &Attempt,
        challenge: Option<&ChallengeId>,
        now: i64,
    ) -> Result<(), Error> {
        let id = match &self.thing {
            Some(thing) => thing.clone(),
            None => random_id()?,
        };
        sqlx::query(
            "INSERT INTO throttle_hits (id, attempt, limit_name, bucket, challenge_id, at, \
             expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
             attempt = excluded.attempt, challenge_id = excluded.challenge_id, \
             at = excluded.at, expires_at = excluded.expires_at",
        )
        .bind(id)
        .bind(&attempt.0)
        .bind(self.name)
        .bind(&self.hash)
        .bind(challenge.filter(|_| !self.stays).map(ChallengeId::as_str))
        .bind(now)
        .bind(now + self.longest())
        .execute(connection)
        .await?;
        Ok(())
    }
}
