//! A database of the version that had a row for each attempt instead of one for each bucket.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::AnyPool;
use twostep::models::rate_limit::{SENDS_OF_SERVICE, usage};
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::former_schema;
use crate::support::{NOW, PASSWORD, TWILIO_TIMEOUT, TestApp, TestDatabase};

/// The first migration of the version after it.
const FIRST_NEW: i64 = 20261128000001;

/// A database of that version with one account.
async fn old_database() -> (TestDatabase, AnyPool) {
    let (database, pool) = former_schema(FIRST_NEW).await;
    sqlx::query(
        "INSERT INTO users (id, username, username_key, email, email_key, password_hash, \
         auth_version, about_me, created_at, unfinished_login_notice_at, verification_phone) \
         VALUES ('a', 'Alice', 'alice', 'A@example.com', 'a@example.com', '!', 3, 'Hi', 5, 7, \
         '+254720227267')",
    )
    .execute(&pool)
    .await
    .unwrap();
    (database, pool)
}

/// Counts an attempt as that version did.
async fn record_attempt(pool: &AnyPool, limit: &str, subject: &str, at: i64) {
    let bucket = HEXLOWER.encode(&Sha256::digest(format!("{limit}\0{subject}")));
    sqlx::query(
        "INSERT INTO throttle_hits (id, attempt, limit_name, bucket, at, expires_at) \
         VALUES ($1, $1, $2, $3, $4, $4)",
    )
    .bind(format!("{limit} {subject} {at}"))
    .bind(limit)
    .bind(bucket)
    .bind(at)
    .execute(pool)
    .await
    .unwrap();
}

/// Starts this version on the database.
async fn start(database: TestDatabase) -> TestApp {
    let clock = Clock::manual(NOW);
    TestApp::on(database, &[], clock, TWILIO_TIMEOUT, Limits::default()).await
}

#[tokio::test]
async fn earlier_attempts_still_count() {
    let (database, pool) = old_database().await;
    for number in 0..10 {
        let at = NOW - 600 + number;
        record_attempt(&pool, "wrong_passwords", "127.0.0.1 name alice", at).await;
    }
    // Nine are within the window.
    for number in 0..12 {
        let at = NOW - if number < 9 { 600 } else { 2000 } - number;
        record_attempt(&pool, "wrong_passwords", "127.0.0.1 name bob", at).await;
    }
    // 14:13 UTC: three today, and two yesterday.
    for ago in [1, 2, 3, 60_000, 60_001] {
        record_attempt(&pool, "sends_of_service", "", NOW - ago).await;
    }
    pool.close().await;

    let app = start(database).await;
    let page = app.browser().log_in("alice", PASSWORD).await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (429, Some("300"))
    );
    let browser = app.browser();
    assert_eq!(browser.log_in("bob", "x").await.status, 422);
    assert_eq!(browser.log_in("bob", "x").await.status, 429);
    let mut connection = app.pool.acquire().await.unwrap();
    let service = [SENDS_OF_SERVICE.daily(1000, "")];
    let used = usage(&mut connection, &service, NOW).await.unwrap();
    drop(connection);
    assert_eq!(used[0].count, 3);
    app.advance(300);
    assert_eq!(app.browser().log_in("alice", "x").await.status, 422);
}

#[tokio::test]
async fn every_row_is_kept_and_activities_get_a_category() {
    let (database, pool) = old_database().await;
    let rows = "INSERT INTO activity (id, user_id, event, failure, at, number) VALUES
            ('1', 'a', 'wrong_password', 1, 10, 1), ('2', 'a', 'renamed', 0, 11, 1),
            ('3', 'a', 'logged_in_with_code', 0, 12, 1), ('4', 'a', 'phone_changed', 0, 13, 1);
        INSERT INTO sessions (id, token_hash, user_id, remember, data, created_at,
            last_active_at, idle_expires_at, expires_at)
            VALUES ('s', 'h', 'a', 1, '{}', 1, 2, 1900000000, 1900000000);
        INSERT INTO challenges (id, user_id, auth_version, purpose, phone, delivery, remember,
            sends, calls, checks, created_at, expires_at)
            VALUES ('c', 'a', 3, 'login', '+254720227267', 'held_back', 0, 1, 0, 2, 1, 1900000000);
        INSERT INTO outbox (id, user_id, mail, attempts, created_at, next_attempt_at) VALUES
            ('m', 'a', '\"reset_password\"', 2, 1789999999, 1900000000),
            ('n', 'a', '{\"notice\":{\"event\":\"password_changed\",\"at\":1789999999}}', 0,
            1789999999, 1789999999)";
    sqlx::raw_sql(rows).execute(&pool).await.unwrap();
    pool.close().await;

    let app = start(database).await;
    let categories: Vec<i64> = sqlx::query_scalar("SELECT category FROM activity ORDER BY id")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(categories, [1, 3, 2, 0]);
    let user = app.user("alice").await;
    assert_eq!((user.username.as_str(), user.auth_version), ("Alice", 3));
    assert_eq!(
        app.phone_of("alice").await.as_deref(),
        Some("+254720227267")
    );
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 1);
    assert_eq!(app.count("SELECT sends + checks FROM challenges").await, 3);
    // Both emails are still sent.
    assert_eq!(app.mail_to("A@example.com").await.len(), 2);
}
