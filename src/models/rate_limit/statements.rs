//! The statements that count attempts and refund them.

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
    let mut arguments = AnyArguments::default();
    bind(&mut arguments, now)?;
    bind(&mut arguments, CLOCK_SKEW)?;
    for bucket in buckets {
        bind(&mut arguments, bucket.key.clone())?;
        bind(&mut arguments, bucket.capacity)?;
        bind(&mut arguments, bucket.end(now))?;
    }
    let rows = QueryBuilder::<Any>::with_arguments(INSERT, arguments)
        .push(values(buckets.len(), 3, 1))
        .push(
            "ON CONFLICT (key) DO UPDATE SET
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
        )
        .build()
        .fetch_all(connection)
        .await?;
    let mut counted = Attempt::default();
    for row in rows {
        let key: String = row.try_get("key")?;
        if let Some(bucket) = buckets.iter().find(|bucket| bucket.key == key) {
            warn_of_budget(bucket, row.try_get("count")?);
            counted.0.push(Counted {
                limit: bucket.limit,
                key,
                expires_at: row.try_get("expires_at")?,
            });
        }
    }
    Ok(counted)
}

/// Attempts to take back from a bucket, in a window that ends at `until` or before.
pub(super) struct Refund {
    pub(super) key: String,
    pub(super) count: i64,
    pub(super) until: i64,
}

/// Lowers the counts. This is an upsert, since an UPDATE of several rows would lock them in
/// any order. It recreates deleted rows as empty.
pub(super) async fn lower(connection: &mut Connection, mut refunds: Vec<Refund>) -> Result<()> {
    if refunds.is_empty() {
        return Ok(());
    }
    refunds.sort_by(|a, b| a.key.cmp(&b.key));
    let values = values(refunds.len(), 1, 0);
    let mut arguments = AnyArguments::default();
    for refund in refunds {
        bind(&mut arguments, refund.key)?;
        bind(&mut arguments, refund.count)?;
        bind(&mut arguments, refund.until)?;
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

/// The start of both upserts. In a refund, `capacity` holds the number to refund.
const INSERT: &str = "INSERT INTO rate_limits (key, capacity, expires_at, count) VALUES ";

/// Placeholders of rows with a count, such as `($2, $3, $4, 1), ($5, $6, $7, 1) `.
fn values(rows: usize, first: usize, count: i64) -> String {
    let row = |row: usize| {
        let at = first + 3 * row;
        format!("(${}, ${}, ${}, {count})", at, at + 1, at + 2)
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ") + " "
}

pub(super) fn bind<'t, T>(arguments: &mut AnyArguments, value: T) -> Result<()>
where
    T: sqlx::Encode<'t, Any> + sqlx::Type<Any>,
{
    Ok(arguments.add(value).map_err(sqlx::Error::Encode)?)
}

/// Warns when 50, 80 and 100 percent of a service-wide budget are used: once each, since
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
