//! The upserts that count attempts and refund them.

use sqlx::any::AnyArguments;
use sqlx::{Any, Arguments, QueryBuilder, Row};

use crate::models::rate_limit::{Attempt, Bucket, CLOCK_SKEW, Counted, Per};
use crate::models::{Connection, Result};

/// Counts an attempt in each bucket that is not full.
pub(super) async fn count(
    connection: &mut Connection,
    buckets: &[Bucket],
    now: i64,
) -> Result<Attempt> {
    let rows = buckets
        .iter()
        .map(|it| (it.key.clone(), it.capacity, it.end(now)));
    let rows = upsert(
        &[now, CLOCK_SKEW],
        rows,
        1,
        r"ON CONFLICT (key) DO UPDATE SET
            capacity = excluded.capacity,
            count = CASE
                WHEN rate_limits.expires_at > $1
                    AND rate_limits.expires_at <= excluded.expires_at + $2
                THEN rate_limits.count + 1
                ELSE 1
            END,
            expires_at = CASE
                WHEN rate_limits.expires_at > $1
                    AND rate_limits.expires_at <= excluded.expires_at + $2
                THEN rate_limits.expires_at
                ELSE excluded.expires_at
            END
        WHERE rate_limits.count < excluded.capacity
            OR rate_limits.expires_at <= $1
            OR rate_limits.expires_at > excluded.expires_at + $2
        RETURNING key, count, expires_at",
    )?
    .build()
    .fetch_all(connection)
    .await?;
    let mut attempt = Attempt::default();
    for row in rows {
        let key: String = row.try_get("key")?;
        if let Some(bucket) = buckets.iter().find(|bucket| bucket.key == key) {
            warn_of_budget(bucket, row.try_get("count")?);
            attempt.0.push(Counted {
                limit: bucket.limit,
                key,
                expires_at: row.try_get("expires_at")?,
            });
        }
    }
    Ok(attempt)
}

/// Attempts to refund to a bucket, unless its window ends after `until`.
pub(super) struct Refund {
    pub(super) key: String,
    pub(super) count: i64,
    pub(super) until: i64,
}

/// Refunds attempts. This is an upsert, since an UPDATE of several rows would lock them in any
/// order. It recreates deleted rows with a count of 0.
pub(super) async fn lower(connection: &mut Connection, mut refunds: Vec<Refund>) -> Result<()> {
    if refunds.is_empty() {
        return Ok(());
    }
    refunds.sort_by(|a, b| a.key.cmp(&b.key));
    // `capacity` holds the number to refund.
    let rows = refunds.into_iter().map(|it| (it.key, it.count, it.until));
    upsert(
        &[],
        rows,
        0,
        r"ON CONFLICT (key) DO UPDATE SET
            count = CASE
                WHEN rate_limits.count > excluded.capacity
                THEN rate_limits.count - excluded.capacity
                ELSE 0
            END
        WHERE rate_limits.expires_at <= excluded.expires_at",
    )?
    .build()
    .execute(connection)
    .await?;
    Ok(())
}

/// Builds an upsert of rows, each a key, a capacity and an end. A new row gets this count. The
/// parameters come first: `$1`, `$2`.
fn upsert(
    parameters: &[i64],
    rows: impl Iterator<Item = (String, i64, i64)>,
    count: i64,
    on_conflict: &'static str,
) -> Result<QueryBuilder<Any>> {
    let mut arguments = AnyArguments::default();
    let encode = sqlx::Error::Encode;
    for parameter in parameters {
        arguments.add(*parameter).map_err(encode)?;
    }
    let mut values = Vec::new();
    for (key, capacity, expires_at) in rows {
        let at = arguments.len() + 1;
        values.push(format!("(${at}, ${}, ${}, {count})", at + 1, at + 2));
        arguments.add(key).map_err(encode)?;
        arguments.add(capacity).map_err(encode)?;
        arguments.add(expires_at).map_err(encode)?;
    }
    let insert = "INSERT INTO rate_limits (key, capacity, expires_at, count) VALUES ";
    let mut query = QueryBuilder::with_arguments(insert, arguments);
    query.push(values.join(", ")).push(" ").push(on_conflict);
    Ok(query)
}

/// Warns when 50, 80 and 100 percent of a service-wide budget are used. Each is logged once,
/// since every attempt increments the count by one.
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
            "daily budget exhausted"
        );
    } else if reaches(80) || reaches(50) {
        tracing::warn!(
            event = "budget_running_out",
            budget,
            count,
            capacity,
            "daily budget running out"
        );
    }
}
