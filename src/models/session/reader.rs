//! Reads the session of each request with a cookie. On SQLite the request's own thread runs
//! this query: sqlx hands a query to another thread and back, which takes longer than the
//! query itself. The other statements go through the pool, as do all on PostgreSQL.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::models::Database;
use crate::models::database_file::DatabaseFile;
use crate::models::session::SessionRow;

pub struct SessionReader {
    database: Database,
    sqlite: Option<Sqlite>,
}

/// A SQLite database, with its connections that no thread uses now. As many are open as
/// threads have read at the same time.
struct Sqlite {
    file: Arc<DatabaseFile>,
    /// The second of the last check of the file.
    checked_at: AtomicI64,
    idle: Mutex<Vec<Connection>>,
}

impl SessionReader {
    /// Reads from `database`. `file` is its file, if it is SQLite's.
    pub fn new(database: &Database, file: Option<Arc<DatabaseFile>>) -> Self {
        let sqlite = |file| Sqlite {
            file,
            checked_at: AtomicI64::new(i64::MIN),
            idle: Mutex::default(),
        };
        Self {
            database: database.clone(),
            sqlite: file.map(sqlite),
        }
    }

    /// Runs `statement` with the hash of a token and the time.
    pub(super) async fn find(
        &self,
        statement: &'static str,
        token_hash: &str,
        now: i64,
    ) -> Result<Option<SessionRow>, sqlx::Error> {
        if let Some(sqlite) = &self.sqlite
            && !self.database.is_closed()
        {
            sqlite.check_file(now)?;
            if let Ok(row) = sqlite.find(statement, token_hash, now) {
                return Ok(row);
            }
            // The pool waits for a locked database, and reports other errors.
        }
        let row = sqlx::query(statement)
            .bind(token_hash)
            .bind(now)
            .fetch_optional(&self.database)
            .await?;
        row.map(|row| SessionRow::from_any(&row)).transpose()
    }

    /// Closes the connections. The last connection to a SQLite file must be one that may
    /// write: it empties the write-ahead log.
    pub fn close(&self) {
        if let Some(sqlite) = &self.sqlite {
            sqlite.idle().clear();
        }
    }
}

impl Sqlite {
    /// Fails if the file was deleted or replaced. Looks once a second.
    fn check_file(&self, now: i64) -> io::Result<()> {
        if self.checked_at.load(Ordering::Relaxed) != now {
            self.file.check()?;
            self.checked_at.store(now, Ordering::Relaxed);
        }
        Ok(())
    }

    fn find(
        &self,
        statement: &str,
        token_hash: &str,
        now: i64,
    ) -> rusqlite::Result<Option<SessionRow>> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| self.open(), Ok)?;
        let row = connection
            .prepare_cached(statement)?
            .query_row((token_hash, now), SessionRow::from_sqlite)
            .optional()?;
        self.idle().push(connection);
        Ok(row)
    }

    /// Every write makes SQLite empty the caches of all other connections. With a memory map
    /// (of up to 1 GiB) these connections don't copy each page again. A read error of the disk
    /// then ends the program by SIGBUS (<https://sqlite.org/mmap.html>).
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file.path, flags)?;
        connection.busy_timeout(Duration::ZERO)?; // never blocks the thread
        connection.pragma_update(None, "mmap_size", 1 << 30)?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
