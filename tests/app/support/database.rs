//! The database of one test: an SQLite file, or with `TEST_DATABASE_URL` a new schema in that
//! PostgreSQL database.

use std::path::PathBuf;

use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe, Column, Row};
use tempfile::TempDir;

use super::postgres::{self, Schema};

/// A database without tables until an app opens it. Dropping this value deletes it.
pub struct TestDatabase {
    storage: Storage,
    pool: Option<AnyPool>,
}

enum Storage {
    File(TempDir),
    Schema(Schema),
}

impl TestDatabase {
    pub async fn new() -> Self {
        let storage = match postgres::server() {
            None => Storage::File(tempfile::tempdir().unwrap()),
            Some(server) => Storage::Schema(server.create().await),
        };
        Self {
            storage,
            pool: None,
        }
    }

    /// An SQLite file, even if the other tests use PostgreSQL.
    pub fn sqlite() -> Self {
        let storage = Storage::File(tempfile::tempdir().unwrap());
        Self {
            storage,
            pool: None,
        }
    }

    /// A test's own pool beside an app's. On SQLite, the app's pool has one connection, which
    /// a test must not hold. PostgreSQL has few connections for many apps, so there it is the
    /// pool of the app.
    pub async fn open_beside(&mut self, app_pool: &AnyPool, url: &str) -> AnyPool {
        let pool = match self.storage {
            Storage::File(_) => AnyPool::connect(url).await.unwrap(),
            Storage::Schema(_) => app_pool.clone(),
        };
        self.pool = Some(pool.clone());
        pool
    }

    /// The value of `DATABASE_URL`.
    pub fn url(&self) -> String {
        match &self.storage {
            Storage::File(_) => format!("sqlite://{}", self.file().unwrap().display()),
            Storage::Schema(schema) => schema.url.to_string(),
        }
    }

    /// A pool that migrates nothing.
    pub async fn open(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPool::connect(&self.url()).await.unwrap()
    }

    fn file(&self) -> Option<PathBuf> {
        match &self.storage {
            Storage::File(folder) => Some(folder.path().join("test.db")),
            Storage::Schema(_) => None,
        }
    }

    /// The size of the write-ahead log in bytes.
    pub fn log_length(&self) -> u64 {
        let file = self.file().unwrap();
        let log = std::fs::metadata(file.with_extension("db-wal"));
        log.unwrap().len()
    }

    /// The bytes of the file and its log, or the rows of every table as text.
    pub async fn contents(&self, pool: &AnyPool) -> Vec<u8> {
        let Some(file) = self.file() else {
            return all_rows(pool).await;
        };
        ["", "-wal"]
            .iter()
            .filter_map(|end| std::fs::read(format!("{}{end}", file.display())).ok())
            .flatten()
            .collect()
    }

    /// The same without deleted rows, which a file keeps for a while.
    pub async fn live_contents(&self, pool: &AnyPool) -> Vec<u8> {
        let Storage::File(folder) = &self.storage else {
            return all_rows(pool).await;
        };
        let copy = folder.path().join("copy.db");
        sqlx::query("VACUUM INTO $1")
            .bind(copy.to_str().unwrap())
            .execute(pool)
            .await
            .unwrap();
        let bytes = std::fs::read(&copy).unwrap();
        std::fs::remove_file(copy).unwrap();
        bytes
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let (Storage::Schema(schema), Some(server)) = (&self.storage, postgres::server()) {
            // The server ends its connections, so this waits for nothing.
            drop(self.pool.as_ref().map(AnyPool::close));
            server.remove(schema);
        }
    }
}

/// The names of all tables.
pub async fn table_names(pool: &AnyPool) -> Vec<String> {
    let is_sqlite = pool.acquire().await.unwrap().backend_name() == "SQLite";
    sqlx::query_scalar(match is_sqlite {
        true => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        false => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
             WHERE table_schema = CURRENT_SCHEMA ORDER BY table_name COLLATE \"C\""
        }
    })
    .fetch_all(pool)
    .await
    .unwrap()
}

/// The rows of a table as text, equal on both engines.
pub async fn rows(pool: &AnyPool, table: &str) -> Vec<String> {
    let sql = format!("SELECT * FROM {table}");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(pool).await;
    let text = |row: &AnyRow| {
        let cell = |name: &str| match row.try_get::<Option<i64>, _>(name) {
            Ok(number) => format!("{name}={number:?}"),
            Err(_) => format!("{name}={:?}", row.get::<Option<String>, _>(name)),
        };
        let names = row.columns().iter().map(Column::name);
        names.map(cell).collect::<Vec<_>>().join(" ")
    };
    let mut rows: Vec<String> = rows.unwrap().iter().map(text).collect();
    rows.sort();
    rows
}

/// All rows in PostgreSQL as bytes, without deleted ones.
async fn all_rows(pool: &AnyPool) -> Vec<u8> {
    let mut text = String::new();
    for table in table_names(pool).await {
        if table != "_sqlx_migrations" {
            text.push_str(&rows(pool, &table).await.join("\n"));
        }
    }
    text.into_bytes()
}

/// Whether the tests run on PostgreSQL.
pub fn on_postgresql() -> bool {
    postgres::server().is_some()
}
