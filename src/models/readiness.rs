//! Whether the database accepts writes, for health checks.

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
    #[error("the SQLite file was deleted or replaced")]
    FileReplaced,
    #[error("{}", .0.with_causes())]
    Database(#[from] Error),
    #[error("no answer in time")]
    TimedOut,
}

/// Checks the database.
pub struct Readiness {
    file: Option<SqliteFile>,
    last: Mutex<Last>,
}

/// The last check. Anyone may ask, so the result is reused for the rest of its second: a flood
/// of requests writes one row per second.
#[derive(Default)]
struct Last {
    second: Option<i64>,
    failure: Option<String>,
}

impl Readiness {
    /// Checks the open database at `url`.
    pub fn new(url: &str) -> Result<Self, sqlx::Error> {
        let file = if is_sqlite(url) {
            SqliteFile::new(url)?
        } else {
            None
        };
        Ok(Self {
            file,
            last: Mutex::default(),
        })
    }

    /// Whether the database accepts a row. Reading would not detect a full disk or a lock. Each
    /// failure is logged once, until it changes.
    pub async fn check(&self, database: &Database, clock: &Clock) -> bool {
        let mut last = self.last.lock().await;
        let now = clock.now(); // after the lock: callers that waited reuse the result
        if last.second != Some(now) {
            let written = tokio::time::timeout(TIMEOUT, self.write(database, now)).await;
            let failure = match written.unwrap_or(Err(Failure::TimedOut)) {
                Ok(()) => None,
                Err(failure) => Some(failure.to_string()),
            };
            if let Some(error) = &failure
                && last.failure != failure
            {
                tracing::warn!(event = "not_ready", error, "the database cannot be written");
            }
            *last = Last {
                second: Some(clock.now()),
                failure,
            };
        }
        last.failure.is_none()
    }

    /// Writes a row that has expired already, so the purge deletes it. No bucket has its key,
    /// since those are hashes.
    async fn write(&self, database: &Database, now: i64) -> Result<(), Failure> {
        if let Some(file) = &self.file
            && !file.is_same().await
        {
            return Err(Failure::FileReplaced);
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

/// The file that the app has opened. If its path no longer leads to it, everything that the app
/// writes will be lost: SQLite itself does not notice.
struct SqliteFile {
    path: PathBuf,
    identity: FileIdentity,
}

/// Device and inode.
type FileIdentity = (u64, u64);

impl SqliteFile {
    /// None for a database in memory.
    fn new(url: &str) -> Result<Option<Self>, sqlx::Error> {
        let options: SqliteConnectOptions = url.parse()?;
        let path = std::path::absolute(options.get_filename())?;
        let metadata = path.metadata();
        Ok(metadata.ok().map(|metadata| Self {
            identity: identity(&metadata),
            path,
        }))
    }

    async fn is_same(&self) -> bool {
        let metadata = tokio::fs::metadata(&self.path).await;
        metadata.is_ok_and(|metadata| identity(&metadata) == self.identity)
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> FileIdentity {
    (0, 0)
}
