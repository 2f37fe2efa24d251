//! The database of one test: an SQLite file, or with `TEST_DATABASE_URL` a schema of
//! its own in that PostgreSQL database.

use std::path::PathBuf;

use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;

use super::postgres::{self, Schema};

/// A database without tables, until an app opens it. It goes with this value, also
/// where the test failed.
pub struct TestDatabase {
    kept: Kept,
    pool: Option<AnyPool>,
}

enum Kept {
    File(TempDir),
    OnServer(Schema),
}

impl TestDatabase {
    pub async fn new() -> Self {
        let kept = match postgres::server() {
            None => Kept::File(tempfile::tempdir().unwrap()),
            Some(server) => Kept::OnServer(server.create().await),
        };
        Self { kept, pool: None }
    }

    /// A file, whatever the other tests run on.
    pub fn sqlite() -> Self {
        let kept = Kept::File(tempfile::tempdir().unwrap());
        Self { kept, pool: None }
    }

    /// The pool of a test beside the app that has this database, or the one at `url`, and
    /// whose own pool is `of_app`. On SQLite that is one connection, which nobody may keep
    /// while the app wants it. A server grants only so many, and an app lives as long as
    /// its test, which may start many: there it is the same pool.
    pub async fn beside(&mut self, of_app: &AnyPool, url: &str) -> AnyPool {
        let pool = match self.kept {
            Kept::File(_) => AnyPool::connect(url).await.unwrap(),
            Kept::OnServer(_) => of_app.clone(),
        };
        self.pool = Some(pool.clone());
        pool
    }

    /// What `DATABASE_URL` says.
    pub fn url(&self) -> String {
        match &self.kept {
            Kept::File(_) => format!("sqlite://{}", self.file().unwrap().display()),
            Kept::OnServer(schema) => schema.url.to_string(),
        }
    }

    /// Its rows, for a test beside those who make and change its tables.
    pub async fn open(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPool::connect(&self.url()).await.unwrap()
    }

    fn file(&self) -> Option<PathBuf> {
        match &self.kept {
            Kept::File(folder) => Some(folder.path().join("test.db")),
            Kept::OnServer(_) => None,
        }
    }

    /// How long the log of the file is, in bytes.
    pub fn log_length(&self) -> u64 {
        let file = self.file().unwrap();
        let log = std::fs::metadata(file.with_extension("db-wal"));
        log.unwrap().len()
    }

    /// Everything in it: the bytes of the file and its log, or every table's rows as
    /// text.
    pub async fn contents(&self, pool: &AnyPool) -> Vec<u8> {
        let Some(file) = self.file() else {
            return rows(pool).await;
        };
        ["", "-wal"]
            .iter()
            .filter_map(|end| std::fs::read(format!("{}{end}", file.display())).ok())
            .flatten()
            .collect()
    }

    /// The same without what was deleted, which a file keeps for a while.
    pub async fn living_contents(&self, pool: &AnyPool) -> Vec<u8> {
        let Kept::File(folder) = &self.kept else {
            return rows(pool).await;
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
        if let (Kept::OnServer(schema), Some(server)) = (&self.kept, postgres::server()) {
            // Closed at once; nobody needs to wait for what the server ends.
            drop(self.pool.as_ref().map(AnyPool::close));
            server.remove(schema);
        }
    }
}

/// What PostgreSQL holds. What it has deleted it does not show.
async fn rows(pool: &AnyPool) -> Vec<u8> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
         WHERE table_schema = CURRENT_SCHEMA ORDER BY table_name",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut text = String::new();
    for table in tables {
        let sql = format!("SELECT CAST(it AS TEXT) FROM {table} it");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await
            .unwrap();
        text.extend(rows.iter().flat_map(|row| [row, "\n"]));
    }
    text.into_bytes()
}

/// Whether the tests run on PostgreSQL.
pub fn on_postgresql() -> bool {
    postgres::server().is_some()
}
