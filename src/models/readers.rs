//! Connections that read sessions, once per request with a cookie. They stay out of the
//! pool, which pings each connection that is returned: the ping costs as much as the query.
//! On SQLite they have a pool of their own, beside the single connection that writes. On
//! PostgreSQL they come from the common pool.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::Executor;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::is_sqlite;
use crate::models::{ACQUIRE_TIMEOUT, Connection, Database, READERS, SQLITE, is_outage, pool};

/// A few connections, each of which reads one row at a time. Clones share them.
#[derive(Clone)]
pub struct Readers(Arc<Inner>);

struct Inner {
    database: Database,
    permits: Semaphore,
    kept: Mutex<Vec<PoolConnection<Any>>>,
}

impl Readers {
    /// Opens connections to `database`, which is at `url`, once they are needed.
    pub fn new(database: &Database, url: &str) -> Result<Self, sqlx::Error> {
        let database = if is_sqlite(url) {
            pool(url, READERS).connect_lazy_with(url.parse()?)
        } else {
            database.clone()
        };
        Ok(Self(Arc::new(Inner {
            database,
            permits: Semaphore::new(READERS as usize),
            kept: Mutex::default(),
        })))
    }

    /// The first row that `query` finds.
    pub(super) async fn fetch_optional<'q>(
        &self,
        query: impl Fn() -> Query<'q, Any, AnyArguments>,
    ) -> Result<Option<AnyRow>, sqlx::Error> {
        let permit = timeout(ACQUIRE_TIMEOUT, self.0.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(sqlx::Error::PoolTimedOut);
        };
        if let Some(mut connection) = self.pop() {
            match query().fetch_optional(&mut *connection).await {
                Ok(row) => {
                    self.keep(connection);
                    return Ok(row);
                }
                // The pool replaces it with a tested connection.
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

    /// Closes all connections and their pool.
    pub async fn close(&self) {
        self.0.permits.close();
        while self.pop().is_some() {}
        self.0.database.close().await;
    }

    fn pop(&self) -> Option<PoolConnection<Any>> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop()
    }

    fn keep(&self, connection: PoolConnection<Any>) {
        if !self.0.permits.is_closed() {
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(connection);
        }
    }
}

/// Every write makes SQLite empty the caches of all other connections. With a memory map
/// (of up to 1 GiB) these connections don't copy each page again. A read error of the disk
/// then ends the program by SIGBUS (<https://sqlite.org/mmap.html>).
async fn prepare(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if connection.backend_name() == SQLITE {
        connection.execute("PRAGMA mmap_size = 1073741824").await?;
    }
    Ok(())
}

/// Whether the connection may have been lost since its last use. One to a file is never lost.
fn was_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.len() == 5 && is_outage(&code)),
        _ => true,
    }
}
