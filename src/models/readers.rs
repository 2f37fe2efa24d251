//! The connections that sessions are read with, once for each request of somebody who is
//! known. sqlx's pool asks every connection that comes back whether it still lives, which
//! takes another turn of SQLite's thread, or of PostgreSQL's server, and costs as much as
//! the query: these do not go back. On SQLite, where whoever writes has a pool of one
//! connection, they are besides; on PostgreSQL they are of the one pool.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::Executor;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::is_sqlite;
use crate::models::{ACQUIRE_TIMEOUT, Connection, Database, READERS, SQLITE, is_outage, pool};

/// Reads one row at a time on each of a few connections. Clones share them.
#[derive(Clone)]
pub struct Readers(Arc<Inner>);

struct Inner {
    database: Database,
    places: Semaphore,
    kept: Mutex<Vec<PoolConnection<Any>>>,
}

impl Readers {
    /// Opens connections to `database`, which is at `url`, once they are needed.
    ///
    /// # Errors
    /// When `url` cannot be read.
    pub fn new(database: &Database, url: &str) -> Result<Self, sqlx::Error> {
        let database = match is_sqlite(url) {
            true => pool(url, READERS).connect_lazy_with(url.parse()?),
            false => database.clone(),
        };
        Ok(Self(Arc::new(Inner {
            database,
            places: Semaphore::new(READERS as usize),
            kept: Mutex::default(),
        })))
    }

    /// The first row that `query` finds.
    pub(super) async fn fetch_optional<'q>(
        &self,
        query: impl Fn() -> Query<'q, Any, AnyArguments>,
    ) -> Result<Option<AnyRow>, sqlx::Error> {
        let place = timeout(ACQUIRE_TIMEOUT, self.0.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(sqlx::Error::PoolTimedOut);
        };
        if let Some(mut connection) = self.pop() {
            match query().fetch_optional(&mut *connection).await {
                Ok(row) => {
                    self.keep(connection);
                    return Ok(row);
                }
                // The pool looks at a connection before it hands it out.
                Err(error) if was_lost(&error) => drop(connection),
                Err(error) => return Err(error),
            }
        }
        let mut connection = self.0.database.acquire().await?;
        prepare(&mut connection).await?;
        let row = query().fetch_optional(&mut *connection).await?;
        self.keep(connection);
        Ok(row)
    }

    /// Closes all connections, and their pool with them.
    pub async fn close(&self) {
        self.0.places.close();
        while self.pop().is_some() {}
        self.0.database.close().await;
    }

    fn pop(&self) -> Option<PoolConnection<Any>> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop()
    }

    fn keep(&self, connection: PoolConnection<Any>) {
        if !self.0.places.is_closed() {
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(connection);
        }
    }
}

/// Whatever is written, SQLite empties the caches of all other connections. These read the
/// file where the system has it in memory, up to 1 GiB of it, instead of copying page by
/// page again. What they cannot read ends the program by SIGBUS, where it would be an error
/// elsewhere (<https://sqlite.org/mmap.html>): that takes a broken disk.
async fn prepare(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if connection.backend_name() == SQLITE {
        connection.execute("PRAGMA mmap_size = 1073741824").await?;
    }
    Ok(())
}

/// Whether an error may be about a connection that ended since it was used last: that of
/// a file does not.
fn was_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.len() == 5 && is_outage(&code)),
        _ => true,
    }
}
