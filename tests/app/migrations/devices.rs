//! Devices are recorded from the first login after the update.

use twostep::models::token::Token;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::former_schema;
use crate::support::{NOW, PASSWORD, TWILIO_TIMEOUT, TestApp, TestDatabase};

/// The version of the migration.
const VERSION: i64 = 20261128000006;

/// A database of the former version with alice and two of her sessions, one of them without a
/// login.
async fn former_database(password_hash: &str, token: &Token) -> TestDatabase {
    let (database, pool) = former_schema(VERSION).await;
    sqlx::query(
        "INSERT INTO users (id, username, username_key, email, email_key, password_hash, \
         auth_version, about_me, created_at) \
         VALUES ('u', 'alice', 'alice', 'alice@example.com', 'alice@example.com', $1, 1, '', $2)",
    )
    .bind(password_hash)
    .bind(NOW)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, data, \
         created_at, last_active_at, idle_expires_at, expires_at) \
         VALUES ('login', $1, 'u', $2, 0, '{}', $2, $2, $3, $3), \
         ('anonymous', 'x', NULL, NULL, 0, '{}', $2, $2, $3, $3)",
    )
    .bind(token.hash())
    .bind(NOW)
    .bind(NOW + 1_000)
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    database
}

#[tokio::test]
async fn sessions_stay_and_the_first_device_is_not_emailed() {
    let (hash, token): (String, Token) = {
        let app = TestApp::start().await;
        app.register("harry").await;
        let hash = sqlx::query_scalar("SELECT password_hash FROM users");
        (
            hash.fetch_one(&app.pool).await.unwrap(),
            Token::generate().unwrap(),
        )
    };
    let database = former_database(&hash, &token).await;
    let settings = [("SMTP_URL", "smtp://127.0.0.1:1")]; // emails stay in the outbox
    let (clock, limits) = (Clock::manual(NOW), Limits::default());
    let app = TestApp::on(database, &settings, clock, TWILIO_TIMEOUT, limits).await;
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 2);
    assert_eq!(app.count("SELECT COUNT(*) FROM devices").await, 0);
    let browser = app.browser();
    browser.set_session_cookie(token.expose());
    assert_eq!(
        browser.get("/change_password").await.status,
        200,
        "still fresh"
    );
    let page = browser.get("/security").await;
    assert_eq!(page.all(".entry-device").len(), 1);
    assert!(page.attributes("[data-device]", "data-device").is_empty());

    let first = app.browser();
    first.log_in("alice", PASSWORD).await.redirects_to("/home");
    assert!(app.all_mails("alice").await.is_empty());
    let page = browser.get("/security").await;
    assert_eq!(page.all("[data-device]").len(), 1);
    assert_eq!(page.all(".entry-device").len(), 2);
    app.browser().complete_login("alice").await;
    assert_eq!(app.all_mails("alice").await.len(), 1);
    let page = browser.post("/sessions/revoke_others", &[]).await;
    page.redirects_to("/security");
    assert_eq!(
        app.count("SELECT COUNT(*) FROM sessions WHERE user_id = 'u'")
            .await,
        1
    );
}
