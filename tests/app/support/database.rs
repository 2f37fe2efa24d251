//! The database of one test: an SQLite file, or with `TEST_DATABASE_URL` a schema of
//! its own in that PostgreSQL database.

use std::io::Write;
use std::path::PathBuf;

use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;

use super::postgres::{self, Schema};

/// A database without tables, until an app opens it. It goes with this value, also
/// where the test failed.
pub struct TestDatabase(Kept);

enum Kept {
    File(TempDir),
    OnServer(Schema),
}

impl TestDatabase {
    pub async fn new() -> Self {
        Self(match postgres::server() {
            None => Kept::File(tempfile::tempdir().unwrap()),
            Some(server) => Kept::OnServer(server.create().await),
        })
    }

    /// What `DATABASE_URL` says.
    pub fn url(&self) -> String {
        match &self.0 {
            Kept::File(_) => format!("sqlite://{}", self.file().unwrap().display()),
            Kept::OnServer(schema) => schema.url.to_string(),
        }
    }

    fn file(&self) -> Option<PathBuf> {
        match &self.0 {
            Kept::File(folder) => Some(folder.path().join("test.db")),
            Kept::OnServer(_) => None,
        }
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
        let Kept::File(folder) = &self.0 else {
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
        if let (Kept::OnServer(schema), Some(server)) = (&self.0, postgres::server()) {
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

/// Whether a test that is about SQLite's files is to be left out, which it says past
/// what a test's output is caught by.
pub fn skipped_on_postgresql(reason: &str) -> bool {
    on_postgresql() && skip("PostgreSQL", reason)
}

/// The same for a test that needs PostgreSQL.
pub fn skipped_on_sqlite(reason: &str) -> bool {
    !on_postgresql() && skip("SQLite", reason)
}

fn skip(engine: &str, reason: &str) -> bool {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "{name}: left out on {engine}: {reason}");
    true
}
