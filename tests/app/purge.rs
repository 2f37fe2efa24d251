//! The purge deletes expired rows, no others, and blocks no request (ASVS 14.2.7).

use std::time::Duration;

use strum::VariantArray;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use twostep::models::Connection;
use twostep::models::outbox::NoticeKind;
use twostep::models::purge::{BATCH, ExpiringRows};
use twostep::models::rate_limit::{WRONG_CODES, take};
use twostep::tasks::purge::Purge;

use crate::logs;
use crate::support::{NOW, PHONE, TestApp};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// After the end of every test.
const LATER: i64 = NOW + 1000 * DAY;

/// Rows that [`fill`] inserts.
const FILLED: u64 = 501;

/// The app's background task, not started.
fn task(app: &TestApp) -> Purge {
    Purge {
        database: app.state.database.clone(),
        clock: app.state.clock.clone(),
        start: Duration::ZERO,
        interval: Duration::from_millis(10),
    }
}

/// Inserts expired rows of [`ExpiringRows::RateLimits`].
async fn fill(app: &TestApp) {
    app.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
         INSERT INTO rate_limits (key, capacity, count, expires_at) \
         SELECT 'hit' || i, 1, 1, 1 FROM n",
    )
    .await;
}

/// Counts the rows of [`fill`] that are left.
async fn left(app: &TestApp) -> u64 {
    let left = app
        .count("SELECT COUNT(*) FROM rate_limits WHERE key LIKE 'hit%'")
        .await;
    u64::try_from(left).unwrap()
}

async fn purge_rate_limits(app: &TestApp) -> u64 {
    let database = &app.state.database;
    ExpiringRows::RateLimits.purge(database, NOW).await.unwrap()
}

async fn insert(app: &TestApp, sql: &'static str, id: &str, expires_at: i64) {
    let user = app.user("alice").await;
    sqlx::query(sql)
        .bind(id)
        .bind(user.id.as_str())
        .bind(expires_at)
        .bind(LATER)
        .execute(&app.pool)
        .await
        .unwrap();
}

/// A row of each kind (`$1` is its id, `$2` a user, `$3` its expiry, `$4` is [`LATER`]), and
/// how many seconds it is kept after its expiry.
const ROWS: [(ExpiringRows, &str, i64); 10] = [
    (
        ExpiringRows::Sessions,
        "INSERT INTO sessions (id, token_hash, user_id, remember, data, created_at, \
         last_active_at, idle_expires_at, expires_at) VALUES ($1, $1, $2, 0, '{}', 0, 0, $4, $3)",
        0,
    ),
    (
        ExpiringRows::Sessions,
        "INSERT INTO sessions (id, token_hash, user_id, remember, data, created_at, \
         last_active_at, idle_expires_at, expires_at) VALUES ($1, $1, $2, 0, '{}', 0, 0, $3, $4)",
        0,
    ),
    (
        ExpiringRows::Challenges,
        "INSERT INTO challenges (id, user_id, auth_version, purpose, remember, sends, calls, \
         checks, created_at, expires_at, closed_at) \
         VALUES ($1, $2, 1, 'login', 0, 1, 0, 0, 0, $3, $4)",
        DAY + HOUR,
    ),
    (
        ExpiringRows::Verifications,
        "INSERT INTO verifications (id, user_id, phone, is_adding, delivery, sends, checks, \
         created_at, last_sent_at, expires_at) VALUES ($1, $2, '+1', 0, 'sms', 1, 0, 0, 0 * $4, $3)",
        DAY + HOUR,
    ),
    (
        ExpiringRows::MailTokens,
        "INSERT INTO mail_tokens (token_hash, user_id, purpose, created_at, expires_at) \
         VALUES ($1, $2, 'reset_password', 0 * $4, $3)",
        0,
    ),
    (
        ExpiringRows::RateLimits,
        "INSERT INTO rate_limits (key, capacity, count, expires_at) SELECT $1, 1, 1, $3 \
         FROM users WHERE id = $2 AND 0 < $4",
        0,
    ),
    (
        ExpiringRows::FormerUsernames,
        "INSERT INTO former_usernames (username_key, user_id, reserved_until) \
         VALUES ($1, $2, 0 * $4 + $3)",
        0,
    ),
    (
        ExpiringRows::Factors,
        "INSERT INTO factors (id, user_id, kind, name, phone, last_step, created_at, removed_at) \
         VALUES ($1, $2, 'phone', '', '+1', 0, 0 * $4, $3)",
        30 * DAY,
    ),
    (
        ExpiringRows::Devices,
        "INSERT INTO devices (id, user_id, token_hash, user_agent, address, created_at, \
         last_seen_at, auth_version) VALUES ($1, $2, $1, '', '', 0 * $4, $3, 0)",
        400 * DAY,
    ),
    (
        ExpiringRows::Activity,
        "INSERT INTO activity (id, user_id, event, category, number, at) \
         VALUES ($1, $2, 'logged_in', 0, 1, 0 * $4 + $3)",
        90 * DAY,
    ),
];

/// ASVS 14.2.4, 14.2.7
#[tokio::test]
async fn each_kind_expires_at_its_second() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let database = &app.pool;
    for (kind, sql, kept) in ROWS {
        insert(&app, sql, "expired", NOW - kept).await;
        insert(&app, sql, "stays", NOW - kept + 1).await;
        let deleted = async |now| kind.delete_batch(database, now).await.unwrap();
        assert_eq!(deleted(NOW).await, 1, "{kind:?}");
        assert_eq!(deleted(NOW).await, 0, "{kind:?}");
        assert_eq!(deleted(NOW + 1).await, 1, "{kind:?}: the one that stayed");
    }
    // `sms_days` tests the remaining kind.
    let tested = |kind: &ExpiringRows| ROWS.iter().any(|row| row.0 == *kind);
    let untested: Vec<_> = ExpiringRows::VARIANTS
        .iter()
        .filter(|it| !tested(it))
        .collect();
    assert_eq!(untested, [&ExpiringRows::SmsDays]);
}

#[tokio::test]
async fn a_challenge_stays_until_its_queued_email_is_sent() {
    let app = TestApp::keeping_mail().await;
    app.with_two_factor("alice", PHONE).await;
    app.empty_outbox().await;
    app.log_in_until_code("alice").await;
    let challenges = "SELECT COUNT(*) FROM challenges";
    let queued = "SELECT COUNT(*) FROM challenges JOIN outbox ON outbox.id = challenges.id";
    assert_eq!(app.count(challenges).await, 2);
    ExpiringRows::Challenges
        .purge(&app.pool, LATER)
        .await
        .unwrap();
    assert_eq!(app.count(challenges).await, 1);
    assert_eq!(app.count(queued).await, 1);
    app.empty_outbox().await;
    ExpiringRows::Challenges
        .purge(&app.pool, LATER)
        .await
        .unwrap();
    assert_eq!(app.count(challenges).await, 0);
    // Their sessions stay until they expire themselves.
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 3);
}

#[tokio::test]
async fn a_statement_deletes_one_batch_and_a_purge_deletes_all() {
    let app = TestApp::start().await;
    fill(&app).await;
    let deleted = ExpiringRows::RateLimits.delete_batch(&app.pool, NOW).await;
    assert_eq!(deleted.unwrap(), BATCH);
    assert_eq!(left(&app).await, FILLED - BATCH);
    assert_eq!(purge_rate_limits(&app).await, FILLED - BATCH);
    assert_eq!(left(&app).await, 0);
}

#[tokio::test]
async fn two_purges_at_once_delete_each_row_once() {
    let app = TestApp::start().await;
    fill(&app).await;
    let purge = || ExpiringRows::RateLimits.purge(&app.pool, NOW);
    let (one, other) = tokio::join!(purge(), purge());
    assert_eq!(one.unwrap() + other.unwrap() + left(&app).await, FILLED);
    purge_rate_limits(&app).await;
    assert_eq!(left(&app).await, 0);
}

/// PostgreSQL kills one of two transactions that lock the same rows in different orders.
#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_request_that_locks_rows_in_another_order_succeeds() {
    let app = TestApp::start().await;
    let fill = "INSERT INTO rate_limits (key, capacity, count, expires_at) \
         VALUES ('first', 1, 1, 1), ('second', 1, 1, 2), ('third', 1, 1, 3)";
    app.execute(fill).await;
    let mut request = app.pool.begin().await.unwrap();
    let extend = async |connection: &mut Connection, key: &str| {
        sqlx::query("UPDATE rate_limits SET expires_at = $1 WHERE key = $2")
            .bind(LATER)
            .bind(key)
            .execute(connection)
            .await
            .unwrap();
    };
    extend(&mut request, "third").await;
    let purged = timeout(Duration::from_secs(1), purge_rate_limits(&app)).await;
    assert_eq!(purged, Ok(0), "it waits");
    extend(&mut request, "second").await;
    extend(&mut request, "first").await;
    request.commit().await.unwrap();
    assert_eq!(purge_rate_limits(&app).await, 0);
    assert_eq!(app.count("SELECT COUNT(*) FROM rate_limits").await, 3);
}

#[tokio::test]
async fn the_purge_does_not_let_the_write_ahead_log_grow() {
    let app = TestApp::on_sqlite().await;
    fill(&app).await;
    let before = app.database.log_length();
    purge_rate_limits(&app).await;
    // The first batch may be appended to the present log.
    let after = app.database.log_length();
    assert!(after < before + before / 2, "{before} {after}");
}

#[tokio::test]
async fn requests_are_answered_during_a_purge() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    fill(&app).await;
    let database = app.pool.clone();
    let purging = tokio::spawn(async move { ExpiringRows::RateLimits.purge(&database, NOW).await });
    while left(&app).await == FILLED {
        tokio::task::yield_now().await;
    }
    assert_eq!(browser.get("/home").await.status, 200);
    let edited = browser
        .post("/edit_profile", &[("username", "alice"), ("about_me", "x")])
        .await;
    edited.redirects_to("/user/alice");
    assert!(left(&app).await > 0, "the purge ended before");
    assert_eq!(purging.await.unwrap().unwrap(), FILLED);
}

#[tokio::test]
async fn a_round_deletes_nothing_that_is_still_valid() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.mail_to("alice@example.com").await;
    app.advance(60);
    let pending = app.log_in_until_code("alice").await;
    let reset = app.reset_link("alice").await;
    let not_me = app.not_me("alice", NoticeKind::PasswordChanged).await;
    let now = app.state.clock.now();
    app.fill(&WRONG_CODES, "alice", 10).await;
    app.advance(599);
    let before = app.dump().await;
    task(&app).round().await;
    assert_eq!(app.dump().await, before);

    assert!(browser.is_logged_in().await);
    let mut connection = app.pool.acquire().await.unwrap();
    let refused = take(&mut connection, &WRONG_CODES.buckets("alice"), now + 599).await;
    drop(connection);
    assert_eq!(refused.unwrap().unwrap_err().retry_after, HOUR - 599);
    pending.verify(&app.last_code()).await.redirects_to("/home");
    pending.get(&not_me).await.redirects_to("/not_me");
    let page = pending.get("/not_me").await;
    assert!(page.text().contains("alice"), "{}", page.text());
    let guest = app.browser();
    guest.get(&reset).await.redirects_to("/reset_password");
    guest
        .post(
            "/reset_password",
            &[
                ("password", "nine purple clouds over Turin"),
                ("confirm_password", "nine purple clouds over Turin"),
            ],
        )
        .await
        .redirects_to("/login");
}

/// ASVS 14.2.7
#[tokio::test]
async fn a_round_deletes_expired_sessions() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let guest = app.browser();
    guest.log_in("alice", "wrong").await;
    app.advance(12 * 60 * 60 - 1);
    task(&app).round().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 1);
    assert!(browser.is_logged_in().await);
    app.advance(12 * 60 * 60);
    task(&app).round().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 0);
    assert!(!browser.is_logged_in().await);
    browser.complete_login("alice").await;
}

#[tokio::test]
async fn the_task_repeats_rounds_until_it_is_stopped() {
    let app = TestApp::start().await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(task(&app).run(stop.clone()));
    for _ in 0..3 {
        fill(&app).await;
        while left(&app).await > 0 {
            tokio::task::yield_now().await;
        }
    }
    // It stops between two batches.
    fill(&app).await;
    while left(&app).await == FILLED {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    working.await.unwrap();
    assert!(left(&app).await > 0, "it went on");
}

#[tokio::test]
async fn an_error_is_logged_and_the_other_kinds_are_purged() {
    logs::keep();
    let app = TestApp::start().await;
    app.register("alice").await;
    let (_, sql, kept) = ROWS[9];
    insert(&app, sql, "expired", NOW - kept).await;
    app.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
        .await;
    logs::take();
    task(&app).round().await;
    let lines = logs::take();
    for (event, kind) in [("purge_failed", "rate limits"), ("purged", "activity")] {
        let is_logged = |line: &String| line.contains(event) && line.contains(kind);
        assert!(lines.iter().any(is_logged), "{event}: {lines:?}");
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM activity").await, 0);
}
