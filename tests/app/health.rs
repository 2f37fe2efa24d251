//! `/healthz` and `/readyz`, and a database that is out of reach.

use crate::support::TestApp;

/// Puts the database out of the app's reach.
async fn close(app: &TestApp) {
    app.state.readers.close().await;
    app.state.database.close().await;
}

#[tokio::test]
async fn the_program_says_that_it_is_alive_and_ready_and_nothing_else() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let page = app.browser().get(path).await;
        assert_eq!((page.status, page.body.as_str()), (200, "ok"), "{path}");
    }
}

#[tokio::test]
async fn without_its_database_the_program_is_alive_but_not_ready() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    close(&app).await;
    assert_eq!(browser.get("/healthz").await.status, 200);
    assert_eq!(browser.get("/readyz").await.status, 503);
}

/// So that asking, which everybody may, costs next to nothing.
#[tokio::test]
async fn what_was_found_stands_for_a_second() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let becomes = async |before: u16, after: u16| {
        assert_eq!(browser.get("/readyz").await.status, before);
        app.advance(1);
        assert_eq!(browser.get("/readyz").await.status, after);
    };
    assert_eq!(browser.get("/readyz").await.status, 200);
    app.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
        .await;
    becomes(200, 503).await;
    app.execute("ALTER TABLE elsewhere RENAME TO rate_limits")
        .await;
    becomes(503, 200).await;
}

#[tokio::test]
async fn without_its_database_pages_say_to_try_again() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    close(&app).await;
    for page in [
        browser.get("/home").await,
        app.browser().log_in("alice", "x").await,
    ] {
        assert_eq!(page.status, 503);
        assert_eq!(page.header("retry-after"), Some("5"));
        assert_eq!(page.first("h1").as_deref(), Some("Too busy"));
    }
    assert_eq!(app.browser().get("/login").await.status, 200);
}
