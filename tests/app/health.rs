//! `/healthz` and `/readyz`.

use std::path::Path;

use crate::logs;
use crate::outages::{assert_readiness, assert_too_busy};
use crate::support::TestApp;

#[tokio::test]
async fn a_healthy_program_says_ok_and_nothing_else() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let page = app.browser().get(path).await;
        assert_eq!((page.status, page.body.as_str()), (200, "ok"), "{path}");
    }
}

#[tokio::test]
async fn without_the_database_the_program_is_alive_but_not_ready_and_pages_say_too_busy() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    app.state.session_reader.close();
    app.state.database.close().await;
    assert_eq!(browser.get("/healthz").await.status, 200);
    assert_eq!(browser.get("/readyz").await.status, 503);
    assert_too_busy(&browser.get("/home").await);
    assert_too_busy(&app.browser().log_in("alice", "x").await);
    assert_eq!(app.browser().get("/login").await.status, 200);
}

/// Anyone may ask, so it must cost next to nothing.
#[tokio::test]
async fn readiness_is_checked_once_a_second() {
    let app = TestApp::start().await;
    let browser = app.browser();
    assert_readiness(&app, 200).await;
    for (rename, before, after) in [
        ("ALTER TABLE rate_limits RENAME TO elsewhere", 200, 503),
        ("ALTER TABLE elsewhere RENAME TO rate_limits", 503, 200),
    ] {
        app.execute(rename).await;
        assert_eq!(browser.get("/readyz").await.status, before);
        assert_readiness(&app, after).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_or_replaced_sqlite_file_is_not_ready_and_logged_once() {
    logs::keep();
    for is_replaced in [false, true] {
        let app = TestApp::on_sqlite().await;
        assert_readiness(&app, 200).await;
        let url = app.database.url();
        let file = Path::new(url.strip_prefix("sqlite://").unwrap());
        let moved = file.with_extension("moved");
        std::fs::rename(file, &moved).unwrap();
        if is_replaced {
            std::fs::copy(&moved, file).unwrap();
        }
        logs::take();
        for _ in 0..3 {
            assert_readiness(&app, 503).await;
        }
        let lines = logs::take();
        let failures: Vec<&String> = lines.iter().filter(|it| it.contains("not_ready")).collect();
        assert_eq!(failures.len(), 1, "replaced: {is_replaced}, {lines:?}");
        assert!(failures[0].contains("the SQLite file was deleted or replaced"));
        std::fs::rename(&moved, file).unwrap();
        assert_readiness(&app, 200).await;
    }
}
