//! Whether the database accepts writes, for health checks.

use std::fs::Metadata;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::Mutex;

use crate::config::is_sqlite;
use crate::models::{Database, Error};
use crate::services::clock::Clock;

/// A check that takes longer fails.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why the database is not ready.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Everything that is written would be lost, and SQLite does not notice.
    #[error("the SQLite file was deleted or replaced")]
    FileReplaced,
    #[error("{}", .0.with_causes())]
    Database(#[from] Error),
    #[error("no answer in time")]
    TimedOut,
}

/// Checks the database.
pub struct Readiness {
    /// The path of the SQLite file, and the file that the app has opened there.
    file: Option<(PathBuf, FileId)>,
    /// The second and the failure of the last check. Anyone may ask, so the result is reused
    /// within its second: a flood of requests writes one row per second.
    last: Mutex<(i64, Option<String>)>,
}

impl Readiness {
    /// Checks the open database at `url`.
    pub fn new(url: &str) -> Result<Self, sqlx::Error> {
        let mut file = None;
        if is_sqlite(url) {
            let options: SqliteConnectOptions = url.parse()?;
            let path = std::path::absolute(options.get_filename())?;
            let metadata = path.metadata()?;
            file = Some((path, file_id(&metadata)));
        }
        let last = Mutex::new((i64::MIN, None));
        Ok(Self { file, last })
    }

    /// Whether the database accepts a row. Reading would not detect a full disk or a lock. A
    /// failure is logged once until it changes.
    pub async fn check(&self, database: &Database, clock: &Clock) -> bool {
        let mut last = self.last.lock().await;
        let now = clock.now(); // after the lock: callers that waited reuse the result
        if last.0 != now {
            let written = tokio::time::timeout(TIMEOUT, self.write(database, now)).await;
            let result = written.unwrap_or(Err(Failure::TimedOut));
            let failure = result.err().map(|failure| failure.to_string());
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
    async fn write(&self, database: &Database, now: i64) -> Result<(), Failure> {
        if let Some((path, opened)) = &self.file {
            let found = tokio::fs::metadata(path).await;
            if !found.is_ok_and(|found| file_id(&found) == *opened) {
                return Err(Failure::FileReplaced);
            }
        }
        sqlx::query(
            r"
            INSERT INTO rate_limits (key, capacity, count, expires_at)
            VALUES ('readyz', 0, 0, $1)
            ON CONFLICT (key) DO UPDATE SET expires_at = $1
            ",
        )
        .bind(now)
        .execute(database)
        .await
        .map_err(Error::from)?;
        Ok(())
    }
}

/// Device and inode.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Other systems don't let an open file be replaced.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}
