//! On SQLite, sessions are read on the request's own thread, by connections beside the pool.

use std::path::PathBuf;

use crate::support::program::Program;
use crate::support::{PASSWORD, TestApp};

fn file(app: &TestApp) -> PathBuf {
    app.database.url().strip_prefix("sqlite://").unwrap().into()
}

#[tokio::test]
async fn two_apps_on_one_thread_see_only_their_own_sessions_as_they_are_now() {
    let apps = [TestApp::on_sqlite().await, TestApp::on_sqlite().await];
    let browsers = [
        apps[0].register_and_log_in("alice").await,
        apps[1].register_and_log_in("alice").await,
    ];
    for _ in 0..3 {
        assert!(browsers[0].is_logged_in().await && browsers[1].is_logged_in().await);
        let strange = browsers[0].copy_to(apps[1].address);
        assert!(!strange.is_logged_in().await);
    }
    apps[0].execute("DELETE FROM sessions").await;
    assert!(
        !browsers[0].is_logged_in().await,
        "deleted by another connection"
    );
    assert!(browsers[1].is_logged_in().await);
    browsers[0].log_in("alice", PASSWORD).await;
    assert!(browsers[0].is_logged_in().await);
}

/// The connections would go on reading the former file.
#[tokio::test]
async fn a_database_file_that_was_deleted_or_replaced_opens_no_session() {
    let app = TestApp::on_sqlite().await;
    let browser = app.register_and_log_in("alice").await;
    assert!(browser.is_logged_in().await);
    let (file, former) = (file(&app), file(&app).with_extension("former"));
    std::fs::rename(&file, &former).unwrap();
    for replacement in [None, Some("")] {
        if let Some(bytes) = replacement {
            std::fs::write(&file, bytes).unwrap();
        }
        app.advance(1);
        let page = browser.get("/home").await;
        assert_eq!((page.status, page.header("retry-after")), (503, Some("5")));
        assert_eq!(app.browser().get("/login").await.status, 200);
    }
    std::fs::rename(&former, &file).unwrap();
    assert!(browser.is_logged_in().await, "the file is back");
}

/// Only the last connection to close empties the log, and only if it may write.
#[cfg(unix)]
#[tokio::test]
async fn a_shutdown_leaves_all_rows_in_the_database_file_itself() {
    let mut program = Program::start(&[]);
    let browser = program.browser();
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    browser.log_in("alice", PASSWORD).await;
    assert!(browser.is_logged_in().await);
    let log = program.folder.path().join("twostep.db-wal");
    assert!(log.exists());
    program.signal("TERM");
    assert_eq!(program.exit_code().await, Some(0));
    assert!(!log.exists());
}
