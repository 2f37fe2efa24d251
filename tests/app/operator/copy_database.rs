//! `twostep copy-database`: from SQLite to PostgreSQL. What needs a PostgreSQL runs in
//! `.ci/postgres`.

use std::path::Path;

use sqlx::{AnyPool, AssertSqlSafe, Column, Row};
use tempfile::TempDir;
use twostep::models;

use super::{Ended, run_with};
use crate::support::scratch::{Scratch, execute};
use crate::support::{PASSWORD, PHONE, TestApp};

/// Nobody listens there, and the password must not be seen.
const NOWHERE: &str = "postgres://user:hunter2@127.0.0.1:1/none";

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("from.db").display())
}

/// A database as the program makes it, in a folder of its own.
async fn migrated() -> (TempDir, String, AnyPool) {
    let folder = tempfile::tempdir().unwrap();
    let from = sqlite(folder.path());
    let database = models::connect(&format!("{from}?mode=rwc")).await.unwrap();
    (folder, from, database)
}

async fn copy(from: &str, to: &str) -> Ended {
    run_with(&[], &["copy-database", from, to]).await
}

async fn change(database: &AnyPool, sql: impl Into<String>) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(database);
    done.await.unwrap();
}

/// The tables of an SQLite database but for sqlx's own.
async fn tables(database: &AnyPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '!_sqlx%' ESCAPE '!' \
         AND name NOT LIKE 'sqlite%' ORDER BY name",
    )
    .fetch_all(database)
    .await
    .unwrap()
}

/// Every cell of a table with its column's name, in an order that both engines share.
async fn cells(database: &AnyPool, table: &str) -> Vec<String> {
    let sql = format!("SELECT * FROM {table}");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(database).await;
    let mut lines = Vec::new();
    for row in rows.unwrap() {
        let mut cells = Vec::new();
        for column in row.columns() {
            let name = column.name();
            cells.push(match row.try_get::<Option<i64>, _>(name) {
                Ok(number) => format!("{name}={number:?}"),
                Err(_) => format!("{name}={:?}", row.get::<Option<String>, _>(name)),
            });
        }
        lines.push(cells.join(" "));
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn anything_but_a_copy_from_sqlite_to_postgresql_is_refused() {
    let (folder, from, database) = migrated().await;
    database.close().await;
    for (from, to, expected) in [
        (from.as_str(), from.as_str(), "TO must be"),
        (&from, "mysql://user:hunter2@host/x", "TO must begin with"),
        (NOWHERE, NOWHERE, "FROM must be"),
        ("twostep.db", NOWHERE, "FROM must begin with"),
        ("sqlite://missing.db", NOWHERE, "FROM: there is no database"),
    ] {
        let line = copy(from, to).await.failed();
        assert!(line.starts_with(expected), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "a file was made");
}

/// What fails at `TO` alone passed every check of `FROM`: among them that each of its
/// tables is copied, those of a new migration too.
#[tokio::test]
async fn every_table_that_the_migrations_make_is_copied() {
    let (_folder, from, database) = migrated().await;
    let line = copy(&from, NOWHERE).await.failed();
    assert!(line.starts_with("TO: the database cannot be"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
    change(&database, "CREATE TABLE new_things (id TEXT)").await;
    let line = copy(&from, NOWHERE).await.failed();
    assert_eq!(line, "FROM: the table new_things is none of this program's");
}

#[tokio::test]
async fn a_database_of_another_program_or_version_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let from = sqlite(folder.path());
    std::fs::write(folder.path().join("from.db"), []).unwrap();
    let line = copy(&from, NOWHERE).await.failed();
    assert_eq!(line, "FROM: this is no database of Twostep's");
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
        let line = copy(&from, NOWHERE).await.failed();
        assert!(line.contains("another version"), "{line}");
    }
}

/// So that no counter has to be set after copying: the program makes all ids.
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
async fn everything_arrives_and_goes_on_working() {
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
    app.half_logged_in("alice").await;
    app.browser().log_in("bob", "purple tram at night").await;
    app.mailed("bob", &twostep::models::mail_token::Purpose::ResetPassword)
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
    let said = copy(&from, to.as_str()).await.said();
    assert!(said.contains("      4000  rate_limits\n"), "{said}");
    assert!(said.contains("         2  users\n"), "{said}");
    assert!(
        said.contains("Both databases have the same number of each"),
        "{said}"
    );

    let copied = models::connect(to.as_str()).await.unwrap();
    for table in tables(&app.pool).await {
        let here = cells(&app.pool, &table).await;
        assert!(!here.is_empty(), "{table} was not tried");
        assert_eq!(here, cells(&copied, &table).await, "{table}");
    }
    copied.close().await;

    let line = copy(&from, to.as_str()).await.failed();
    assert!(
        line.contains("not empty: there are rows in its table users"),
        "{line}"
    );

    let moved = TestApp::with(&[("DATABASE_URL", to.as_str())]).await;
    let browser = moved.browser();
    browser.log_in("bob", PASSWORD).await.redirects_to("/home");
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
async fn an_empty_database_that_a_server_was_started_on_will_do() {
    let scratch = Scratch::new().await;
    let to = scratch.url();
    models::connect(to.as_str()).await.unwrap().close().await;
    let (_folder, from, _database) = migrated().await;
    let said = copy(&from, to.as_str()).await.said();
    assert!(said.contains("         0  users\n"), "{said}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_target_with_something_in_it_is_refused_and_stays_as_it_is() {
    let scratch = Scratch::new().await;
    let to = scratch.url();
    let (_folder, from, _database) = migrated().await;
    execute(&to, "CREATE TABLE wiki (page TEXT)".to_owned()).await;
    let line = copy(&from, to.as_str()).await.failed();
    assert_eq!(
        line,
        "TO: the database is not empty: it has the table wiki. Nothing was copied"
    );
    // It would fail if a table were there.
    execute(&to, "CREATE TABLE users (name TEXT)".to_owned()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_copy_that_fails_half_way_leaves_nothing() {
    let scratch = Scratch::new().await;
    let to = scratch.url();
    let (_folder, from, database) = migrated().await;
    change(
        &database,
        "PRAGMA foreign_keys = OFF; INSERT INTO sms_days VALUES ('2026-11-22', 'KE', 1, 1); \
         INSERT INTO recovery_codes VALUES ('hash', 'nobody', 1, NULL)",
    )
    .await;
    let line = copy(&from, to.as_str()).await.failed();
    assert!(
        line.starts_with("TO: the database cannot be written: "),
        "{line}"
    );
    execute(&to, "CREATE TABLE users (name TEXT)".to_owned()).await;
}
