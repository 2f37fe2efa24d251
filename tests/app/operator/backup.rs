//! `twostep backup`: a copy of an SQLite database while the server runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::AnyPool;
use twostep::models;

use super::{Outcome, program, run_in};
use crate::support::{TestApp, until};

async fn backup(folder: &Path, url: &str, file: &str) -> Outcome {
    run_in(folder, &[("DATABASE_URL", url)], &["backup", file]).await
}

async fn open(file: &Path) -> AnyPool {
    models::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_under_load_is_valid_and_contains_every_earlier_commit() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    let folder = tempfile::tempdir().unwrap();
    let app = Arc::new(app);
    let (confirmed, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (writer, count, stop) = (app.clone(), confirmed.clone(), over.clone());
    let writing = tokio::spawn(async move {
        while !stop.load(Ordering::SeqCst) {
            let number = count.load(Ordering::SeqCst);
            sqlx::query("INSERT INTO rate_limits VALUES ($1, 1, 1, 9999999999)")
                .bind(format!("{number:02000}"))
                .execute(&writer.pool)
                .await
                .unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    app.register("alice").await;
    until(|| confirmed.load(Ordering::SeqCst) > 200).await;
    for round in 0..3 {
        let file = folder.path().join(format!("{round}.db"));
        app.register(&format!("before{round}")).await;
        let before = confirmed.load(Ordering::SeqCst);
        let output = backup(folder.path(), &url, &format!("{round}.db"))
            .await
            .output();
        assert!(
            output.starts_with(&format!("Backed up the database to {round}.db, ")),
            "{output}"
        );
        assert!(
            confirmed.load(Ordering::SeqCst) > before,
            "nothing was written meanwhile"
        );

        let copy = open(&file).await;
        let found: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&copy)
            .await
            .unwrap();
        assert_eq!(found, "ok");
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
            .fetch_one(&copy)
            .await
            .unwrap();
        assert_eq!(users, 2 + round);
        let written: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM rate_limits WHERE LENGTH(key) = 2000")
                .fetch_one(&copy)
                .await
                .unwrap();
        assert!(
            usize::try_from(written).unwrap() >= before,
            "{written} of {before}"
        );
        copy.close().await;
    }
    over.store(true, Ordering::SeqCst);
    writing.await.unwrap();

    // A server can start on it.
    let url = format!("sqlite://{}", folder.path().join("2.db").display());
    let restored = TestApp::with(&[("DATABASE_URL", &url)]).await;
    restored.browser().complete_login("before2").await;
}

#[tokio::test]
async fn only_the_owner_can_read_a_backup_and_no_other_file_is_left() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    let folder = tempfile::tempdir().unwrap();
    backup(folder.path(), &url, "backup.db").await.output();
    assert_eq!(names(folder.path()), ["backup.db"]);
    let file = std::fs::metadata(folder.path().join("backup.db")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

/// While the copy is being written, by Ctrl-C or by a supervisor.
#[tokio::test]
async fn an_interrupted_backup_leaves_no_file() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    app.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
         INSERT INTO rate_limits SELECT HEX(RANDOMBLOB(800)), 1, 1, i FROM n",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    for (name, signal) in [("a.db", "TERM"), ("b.db", "INT")] {
        let mut command = program(folder.path(), &[("DATABASE_URL", &url)], &["backup", name]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        until(|| {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut files = entries.filter_map(|it| it.unwrap().metadata().ok());
            files.any(|file| file.len() > 1_000_000)
        })
        .await;
        let names = names(folder.path());
        assert!(names[0].starts_with(".twostep-backup-"), "{names:?}");
        let process = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status();
        assert!(sent.unwrap().success());
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let line = Outcome::from(ended.await.unwrap()).error();
        assert_eq!(line, "the backup was interrupted and deleted");
        let names = self::names(folder.path());
        assert!(names.is_empty(), "{names:?}");
    }
}

#[tokio::test]
async fn a_failed_backup_overwrites_and_leaves_no_file() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.db"), "mine").unwrap();
    let line = backup(folder.path(), &url, "there.db").await.error();
    assert_eq!(line, "FILE: there.db already exists");
    let kept = std::fs::read_to_string(folder.path().join("there.db")).unwrap();
    assert_eq!(kept, "mine");

    let line = backup(folder.path(), &url, "no/such/folder.db")
        .await
        .error();
    assert!(
        line.starts_with("FILE: no/such/folder.db cannot be written: "),
        "{line}"
    );

    let missing = "sqlite://missing.db";
    let line = backup(folder.path(), missing, "b.db").await.error();
    assert!(
        line.starts_with("DATABASE_URL: there is no database at "),
        "{line}"
    );

    let rubbish = "not a database, and long enough to be taken for one".repeat(20);
    std::fs::write(folder.path().join("rubbish.db"), rubbish).unwrap();
    let line = backup(folder.path(), "sqlite://rubbish.db", "b.db")
        .await
        .error();
    assert!(line.starts_with("the backup failed: "), "{line}");
    assert_eq!(names(folder.path()), ["rubbish.db", "there.db"]);
}

#[tokio::test]
async fn a_new_version_backs_up_an_old_database_without_migrating_it() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    app.execute("CREATE TABLE purge_turn (name TEXT)").await;
    app.execute(
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
    )
    .await;
    let migrations = "SELECT COUNT(*) FROM _sqlx_migrations";
    let before = app.count(migrations).await;
    let folder = tempfile::tempdir().unwrap();
    backup(folder.path(), &url, "backup.db").await.output();
    assert_eq!(app.count(migrations).await, before, "it was migrated");
}

#[tokio::test]
async fn a_backup_of_postgresql_points_to_pg_dump() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://user:hunter2@127.0.0.1:1/none";
    let line = backup(folder.path(), url, "backup.db").await.error();
    assert!(
        line.contains("pg_dump") && !line.contains("hunter2"),
        "{line}"
    );
}
