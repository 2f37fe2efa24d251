//! Whether the database accepts writes, for health checks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::models::database_file::DatabaseFile;
use crate::models::{Database, Result, with_causes};
use crate::services::clock::Clock;

/// A check that takes longer fails.
const TIMEOUT: Duration = Duration::from_secs(2);

pub struct Readiness {
    file: Option<Arc<DatabaseFile>>,
    /// The second and the failure of the last check. Anyone may ask, so the result is reused
    /// within its second: a flood of requests writes one row per second.
    last: Mutex<(i64, Option<String>)>,
}

impl Readiness {
    /// `file` is the database, if it is SQLite's.
    pub fn new(file: Option<Arc<DatabaseFile>>) -> Self {
        Self {
            file,
            last: Mutex::new((i64::MIN, None)),
        }
    }

    /// Whether the database accepts a row. Reading would not detect a full disk or a lock. A
    /// failure is logged once until it changes.
    pub async fn check(&self, database: &Database, clock: &Clock) -> bool {
        let mut last = self.last.lock().await;
        let now = clock.now(); // after the lock: callers that waited reuse the result
        if last.0 != now {
            let written = tokio::time::timeout(TIMEOUT, self.write(database, now)).await;
            let failure = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(with_causes(&error)),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(error) = &failure
                && last.1 != failure
            {
                tracing::warn!(event = "not_ready", error, "the database cannot be written");
            }
            *last = (clock.now(), failure);
        }
        last.1.is_none()
    }

    /// Writes a row that has expired already, so the purge deletes it. No bucket has its key,
    /// since those are hashes.
    async fn write(&self, database: &Database, now: i64) -> Result<()> {
        if let Some(file) = &self.file {
            file.check().map_err(sqlx::Error::Io)?;
        }
        sqlx::query(
            r"INSERT INTO rate_limits (key, capacity, count, expires_at)
            VALUES ('readyz', 0, 0, $1)
            ON CONFLICT (key) DO UPDATE SET expires_at = $1",
        )
        .bind(now)
        .execute(database)
        .await?;
        Ok(())
    }
}
