//! `twostep copy-database`: from SQLite to PostgreSQL. `.ci/postgres` runs the ignored tests.

use std::path::Path;

use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use twostep::models;

use super::{Outcome, run_with};
use crate::support::database::{rows, table_names};
use crate::support::scratch::{Scratch, execute};
use crate::support::{PHONE, TestApp};

/// No server listens there. The password must not appear.
const NOWHERE: &str = "postgres://user:hunter2@127.0.0.1:1/none";

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("from.db").display())
}

/// An empty database of this version.
async fn migrated() -> (TempDir, String, AnyPool) {
    let folder = tempfile::tempdir().unwrap();
    let from = sqlite(folder.path());
    let database = models::connect(&format!("{from}?mode=rwc")).await.unwrap();
    (folder, from, database)
}

async fn copy(from: &str, to: &str) -> Outcome {
    run_with(&[], &["copy-database", from, to]).await
}

async fn change(database: &AnyPool, sql: impl Into<String>) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(database);
    done.await.unwrap();
}

#[tokio::test]
async fn only_copies_from_sqlite_to_postgresql_are_accepted() {
    let (folder, from, database) = migrated().await;
    database.close().await;
    for (from, to, expected) in [
        (from.as_str(), from.as_str(), "TO must be"),
        (&from, "mysql://user:hunter2@host/x", "TO must begin with"),
        (NOWHERE, NOWHERE, "FROM must be"),
        ("twostep.db", NOWHERE, "FROM must begin with"),
        ("sqlite://missing.db", NOWHERE, "FROM: there is no database"),
    ] {
        let line = copy(from, to).await.error();
        assert!(line.starts_with(expected), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "a file was created");
    let line = copy(&from, NOWHERE).await.error();
    assert!(line.starts_with("TO: the database cannot be"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[tokio::test]
async fn a_database_of_another_program_or_version_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let from = sqlite(folder.path());
    std::fs::write(folder.path().join("from.db"), []).unwrap();
    let line = copy(&from, NOWHERE).await.error();
    assert_eq!(line, "FROM: this is not a database of Twostep");
    let length = std::fs::metadata(folder.path().join("from.db"))
        .unwrap()
        .len();
    assert_eq!(length, 0);

    for change_version in [
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99990101000001, 'later', 1, x'00', 0)",
    ] {
        let (_folder, from, database) = migrated().await;
        change(&database, change_version).await;
        let line = copy(&from, NOWHERE).await.error();
        assert!(line.contains("another version"), "{line}");
    }
}

/// A copy would have to set their counters. The program creates all ids.
#[test]
fn no_table_numbers_its_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for counted in ["serial", "identity", "autoincrement", "sequence"] {
            assert!(!text.to_lowercase().contains(counted), "{counted}");
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_copy_contains_every_table_and_works() {
    let scratch = Scratch::new().await;
    let folder = tempfile::tempdir().unwrap();
    let from = sqlite(folder.path());
    let app = TestApp::with(&[("DATABASE_URL", &from), ("SMTP_URL", "smtp://127.0.0.1:1")]).await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let about_me = "tab\there \\ \\N \\. 'quotes' \"\u{1F600}\n\\\nlast";
    for name in ["alicia", "Alice"] {
        let fields = [("username", name), ("about_me", about_me)];
        let page = browser.post("/edit_profile", &fields).await;
        page.redirects_to(&format!("/user/{name}"));
    }
    app.register("bob").await;
    app.log_in_until_code("alice").await;
    app.browser().log_in("bob", "purple tram at night").await;
    app.mailed(
        "bob",
        &twostep::models::mail_token::LinkPurpose::ResetPassword,
    )
    .await;
    app.execute("INSERT INTO reset_requests VALUES ('later', 'nobody@example.com', 99999999999)")
        .await;
    // A whole number of pages, and one row more.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";
    for (last, table, columns) in [
        ("4000", "rate_limits", "'b' || i, 1, 1, 1900000000"),
        ("2001", "sms_days", "'day ' || i, 'KE', i, 0"),
    ] {
        let sql = format!(
            "DELETE FROM {table}; INSERT INTO {table} {many}{last}) SELECT {columns} FROM n"
        );
        change(&app.pool, sql).await;
    }

    let to = scratch.url();
    let output = copy(&from, to.as_str()).await.output();
    assert!(output.contains("      4000  rate_limits\n"), "{output}");
    assert!(output.contains("         2  users\n"), "{output}");
    assert!(
        output.contains("Both databases have the same number of each"),
        "{output}"
    );

    let copied = models::connect(to.as_str()).await.unwrap();
    let tables = table_names(&app.pool).await;
    assert_eq!(tables, table_names(&copied).await);
    let mut filled = 0;
    for table in tables.iter().filter(|it| *it != "_sqlx_migrations") {
        let rows = rows(&app.pool, table).await;
        assert_eq!(rows, self::rows(&copied, table).await, "{table}");
        filled += usize::from(!rows.is_empty());
    }
    assert!(filled > 9, "{filled} tables with rows");
    copied.close().await;

    let line = copy(&from, to.as_str()).await.error();
    assert!(
        line.contains("not empty: there are rows in its table "),
        "{line}"
    );

    let moved = TestApp::with(&[("DATABASE_URL", to.as_str())]).await;
    let browser = moved.browser();
    browser.complete_login("bob").await;
    let page = browser.get("/user/alice").await;
    assert!(
        page.text().contains("\\ \\N \\. 'quotes'"),
        "{}",
        page.text()
    );
    moved.register("carol").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn an_unused_database_of_a_server_is_accepted() {
    let scratch = Scratch::new().await;
    let to = scratch.url();
    models::connect(to.as_str()).await.unwrap().close().await;
    let (_folder, from, _database) = migrated().await;
    let output = copy(&from, to.as_str()).await.output();
    assert!(output.contains("         0  users\n"), "{output}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_target_with_other_tables_is_refused_and_not_changed() {
    let scratch = Scratch::new().await;
    let to = scratch.url();
    let (_folder, from, _database) = migrated().await;
    execute(&to, "CREATE TABLE wiki (page TEXT)".to_owned()).await;
    let line = copy(&from, to.as_str()).await.error();
    assert_eq!(
        line,
        "TO: the database is not empty: it has the table wiki. Nothing was copied"
    );
    // This fails if the table exists.
    execute(&to, "CREATE TABLE users (name TEXT)".to_owned()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_failed_copy_leaves_nothing() {
    for (sql, problem) in [
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO sms_days VALUES ('2026-11-22', 'KE', 1, 1); \
             INSERT INTO recovery_codes VALUES ('hash', 'nobody', 1, NULL)",
            "foreign key",
        ),
        ("CREATE TABLE new_things (id TEXT)", "new_things"),
        (
            "INSERT INTO sms_days VALUES ('2026-11-22', 'KE', 1, 1); \
             ALTER TABLE sms_days ADD COLUMN shoe_size BIGINT",
            "shoe_size",
        ),
    ] {
        let scratch = Scratch::new().await;
        let to = scratch.url();
        let (_folder, from, database) = migrated().await;
        change(&database, sql).await;
        let line = copy(&from, to.as_str()).await.error();
        let start = "TO: the database cannot be written: ";
        assert!(line.starts_with(start) && line.contains(problem), "{line}");
        // This fails if the table exists.
        execute(&to, "CREATE TABLE users (name TEXT)".to_owned()).await;
    }
}
