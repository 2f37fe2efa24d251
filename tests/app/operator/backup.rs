//! `twostep backup`: a copy of an SQLite database beside a running server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::AnyPool;
use twostep::models;

use super::{Ended, program, run_in};
use crate::support::{PASSWORD, TestApp, until};

async fn backup(folder: &Path, url: &str, file: &str) -> Ended {
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
async fn a_backup_under_load_is_whole_and_holds_all_that_was_confirmed_before() {
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
        let said = backup(folder.path(), &url, &format!("{round}.db"))
            .await
            .said();
        assert!(
            said.starts_with(&format!("{round}.db holds the database, ")),
            "{said}"
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

    // It is a database to start on.
    let url = format!("sqlite://{}", folder.path().join("2.db").display());
    let restored = TestApp::with(&[("DATABASE_URL", &url)]).await;
    let page = restored.browser().log_in("before2", PASSWORD).await;
    page.redirects_to("/home");
}

#[tokio::test]
async fn a_backup_is_its_owners_alone_and_leaves_nothing_beside_it() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    let folder = tempfile::tempdir().unwrap();
    backup(folder.path(), &url, "backup.db").await.said();
    assert_eq!(names(folder.path()), ["backup.db"]);
    let file = std::fs::metadata(folder.path().join("backup.db")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

/// It is told to end while a part of the copy is written: a supervisor's stop, Ctrl-C.
#[tokio::test]
async fn a_backup_that_is_interrupted_leaves_nothing() {
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
        let line = Ended::from(ended.await.unwrap()).failed();
        assert_eq!(line, "the backup was interrupted, and there is none");
        let names = self::names(folder.path());
        assert!(names.is_empty(), "{names:?}");
    }
}

#[tokio::test]
async fn no_file_is_overwritten_and_none_is_made_where_it_cannot_be_whole() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.db"), "mine").unwrap();
    let line = backup(folder.path(), &url, "there.db").await.failed();
    assert_eq!(line, "FILE: there.db is there already");
    let kept = std::fs::read_to_string(folder.path().join("there.db")).unwrap();
    assert_eq!(kept, "mine");

    let line = backup(folder.path(), &url, "no/such/folder.db")
        .await
        .failed();
    assert!(
        line.starts_with("FILE: no/such/folder.db cannot be written: "),
        "{line}"
    );

    let missing = "sqlite://missing.db";
    let line = backup(folder.path(), missing, "b.db").await.failed();
    assert!(
        line.starts_with("DATABASE_URL: there is no database at "),
        "{line}"
    );

    let rubbish = "not a database, and long enough to be taken for one".repeat(20);
    std::fs::write(folder.path().join("rubbish.db"), rubbish).unwrap();
    let line = backup(folder.path(), "sqlite://rubbish.db", "b.db")
        .await
        .failed();
    assert!(line.starts_with("the backup failed: "), "{line}");
    assert_eq!(names(folder.path()), ["rubbish.db", "there.db"]);
}

#[tokio::test]
async fn a_new_version_can_back_up_what_the_old_one_left() {
    let app = TestApp::on_sqlite().await;
    let url = app.database.url();
    app.execute("CREATE TABLE purge_turn (name TEXT)").await;
    app.execute("DELETE FROM _sqlx_migrations WHERE version = 20261128000003")
        .await;
    let migrations = "SELECT COUNT(*) FROM _sqlx_migrations";
    let before = app.count(migrations).await;
    let folder = tempfile::tempdir().unwrap();
    backup(folder.path(), &url, "backup.db").await.said();
    assert_eq!(app.count(migrations).await, before, "it was migrated");
}

#[tokio::test]
async fn postgresql_is_backed_up_by_its_own_program() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://user:hunter2@127.0.0.1:1/none";
    let line = backup(folder.path(), url, "backup.db").await.failed();
    assert!(
        line.contains("pg_dump") && !line.contains("hunter2"),
        "{line}"
    );
}
