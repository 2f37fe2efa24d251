//! Whether the database accepts writes, for health checks.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::models::{Database, Result};
use crate::services::clock::Clock;

/// A check that takes longer fails.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The last result and its second. Everybody may ask, so the result is reused for that
/// second: a flood of checks writes one row per second.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(i64, bool)>>);

impl Readiness {
    /// Whether the database accepts a row. Reading would not detect a full disk or a lock.
    pub async fn check(&self, database: &Database, clock: &Clock) -> bool {
        let mut last = self.0.lock().await;
        let now = clock.now(); // after the lock: callers that waited reuse the result
        if let Some((at, ready)) = *last
            && at == now
        {
            return ready;
        }
        let written = tokio::time::timeout(TIMEOUT, write(database, now)).await;
        let failure = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.with_causes()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = &failure {
            tracing::warn!(event = "not_ready", error, "the database cannot be written");
        }
        *last = Some((clock.now(), failure.is_none()));
        failure.is_none()
    }
}

/// Writes a row that has expired already, so the purge deletes it. No bucket has its key,
/// since those are hashes.
async fn write(database: &Database, now: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO rate_limits (key, capacity, count, expires_at) VALUES ('readyz', 0, 0, $1) \
         ON CONFLICT (key) DO UPDATE SET expires_at = $1",
    )
    .bind(now)
    .execute(database)
    .await?;
    Ok(())
}
