//! Whether the database takes what is written, for whoever asks often.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::models::{Database, Error};
use crate::services::clock::Clock;

/// Longer than writing a row takes where all is well; whoever asks does not wait longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found last, and in which second. It stands for that second, so that asking,
/// which everybody may, costs one row a second at the most.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(i64, bool)>>);

impl Readiness {
    /// Whether the database takes a row. Reading would not tell of a full disk or of a
    /// lock.
    pub async fn check(&self, database: &Database, clock: &Clock) -> bool {
        let mut last = self.0.lock().await;
        let now = clock.now(); // not before the lock: whoever waited takes what was found
        if let Some((at, ready)) = *last
            && at == now
        {
            return ready;
        }
        let written = tokio::time::timeout(PATIENCE, write(database, now)).await;
        let failed = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.with_causes()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = &failed {
            tracing::warn!(event = "not_ready", error, "the database cannot be written");
        }
        *last = Some((clock.now(), failed.is_none()));
        failed.is_none()
    }
}

/// A row that is over as soon as it stands, for the purge to take away: nobody's bucket
/// is called so, since buckets are hashes.
async fn write(database: &Database, now: i64) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO rate_limits (key, capacity, count, expires_at) VALUES ('readyz', 0, 0, $1) \
         ON CONFLICT (key) DO UPDATE SET expires_at = $1",
    )
    .bind(now)
    .execute(database)
    .await?;
    Ok(())
}
