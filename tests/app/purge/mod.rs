//! What is over is deleted, and nothing else (ASVS 14.2.7).

mod lease;

use std::time::Duration;

use tokio::sync::watch;
use twostep::models::outbox::NoticeKind;
use twostep::models::purge::{BATCH, Deleted, Kind};
use twostep::models::rate_limit::{WRONG_CODES, take};
use twostep::tasks::purge::{Purge, purge};

use crate::logs;
use crate::support::{NOW, PASSWORD, PHONE, TestApp};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Far ahead of every test.
const LATER: i64 = NOW + 1000 * DAY;

/// A purge of this app, that nobody started.
fn task(app: &TestApp) -> Purge {
    Purge {
        database: app.state.database.clone(),
        clock: app.state.clock.clone(),
        start: Duration::ZERO,
        interval: Duration::from_millis(10),
    }
}

/// Puts in a row of some kind whose time is `at`. Another statement may be bound to
/// [`LATER`].
async fn insert(app: &TestApp, sql: &'static str, id: &str, at: i64) {
    let user = app.user("alice").await;
    sqlx::query(sql)
        .bind(id)
        .bind(user.id.as_str())
        .bind(at)
        .bind(LATER)
        .execute(&app.pool)
        .await
        .unwrap();
}

/// Every kind with a row of it (`$1` its id, `$2` a user, `$3` the time that decides,
/// `$4` far ahead) and how many seconds after that time it goes.
const ROWS: [(Kind, &str, i64); 7] = [
    (
        Kind::Sessions,
        "INSERT INTO sessions (id, token_hash, user_id, remember, data, created_at, \
         last_active_at, idle_expires_at, expires_at) VALUES ($1, $1, $2, 0, '{}', 0, 0, $4, $3)",
        0,
    ),
    (
        Kind::Sessions,
        "INSERT INTO sessions (id, token_hash, user_id, remember, data, created_at, \
         last_active_at, idle_expires_at, expires_at) VALUES ($1, $1, $2, 0, '{}', 0, 0, $3, $4)",
        0,
    ),
    (
        Kind::Challenges,
        "INSERT INTO challenges (id, user_id, auth_version, purpose, phone, delivery, remember, \
         sends, calls, checks, created_at, expires_at, closed_at) \
         VALUES ($1, $2, 1, 'login', '+1', 'sms', 0, 1, 0, 0, 0, $3, $4)",
        DAY + HOUR,
    ),
    (
        Kind::MailTokens,
        "INSERT INTO mail_tokens (token_hash, user_id, purpose, created_at, expires_at) \
         VALUES ($1, $2, 'reset_password', 0 * $4, $3)",
        0,
    ),
    (
        Kind::RateLimits,
        "INSERT INTO rate_limits (key, capacity, count, expires_at) SELECT $1, 1, 1, $3 \
         FROM users WHERE id = $2 AND 0 < $4",
        0,
    ),
    (
        Kind::FormerUsernames,
        "INSERT INTO former_usernames (username_key, user_id, reserved_until) \
         VALUES ($1, $2, 0 * $4 + $3)",
        0,
    ),
    (
        Kind::Activity,
        "INSERT INTO activity (id, user_id, event, category, number, at) \
         VALUES ($1, $2, 'logged_in', 0, 1, 0 * $4 + $3)",
        90 * DAY,
    ),
];

/// ASVS 14.2.4, 14.2.7
#[tokio::test]
async fn each_kind_goes_at_its_second_and_stays_until_then() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let database = &app.pool;
    for (kind, sql, kept) in ROWS {
        insert(&app, sql, "over", NOW - kept).await;
        insert(&app, sql, "stays", NOW - kept + 1).await;
        let deleted = async |now| kind.delete_some(database, now).await.unwrap().rows;
        assert_eq!(deleted(NOW).await, 1, "{kind:?}");
        assert_eq!(deleted(NOW).await, 0, "{kind:?}");
        assert_eq!(deleted(NOW + 1).await, 1, "{kind:?}: the one that stayed");
    }
}

#[tokio::test]
async fn a_verification_stays_as_long_as_a_queued_mail_names_it() {
    let app = TestApp::keeping_mail().await;
    let (database, old) = (&app.pool, LATER);
    app.with_two_factor("alice", PHONE).await;
    app.empty_outbox().await;
    app.half_logged_in("alice").await;
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 2);
    Kind::Challenges.delete_some(database, old).await.unwrap();
    let left = "SELECT COUNT(*) FROM challenges JOIN outbox ON outbox.id = challenges.id";
    assert_eq!(app.count(left).await, 1);
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 1);
    app.empty_outbox().await;
    Kind::Challenges.delete_some(database, old).await.unwrap();
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 0);
    // The sessions that they were open in go by their own ends.
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 3);
}

/// Each statement asks again: of two that are found, the one stays that a mail names since.
#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_verification_that_a_mail_names_only_now_stays_too() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let (_, sql, kept) = ROWS[2];
    for id in ["one", "other"] {
        insert(&app, sql, id, NOW - kept).await;
    }
    let name_the_other = "INSERT INTO outbox (id, user_id, mail, attempts, created_at, \
         next_attempt_at) SELECT id, user_id, '{}', 0, 0, 0 FROM challenges WHERE id <> OLD.id";
    app.trigger(
        "named",
        "AFTER DELETE ON challenges",
        "1 = 1",
        name_the_other,
    )
    .await;
    let deleted = Kind::Challenges.delete_some(&app.pool, NOW).await;
    assert_eq!(deleted.unwrap().rows, 1);
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 1);
}

#[tokio::test]
async fn many_rows_go_in_batches() {
    let app = TestApp::start().await;
    let database = &app.pool;
    fill(&app).await;
    let deleted = Kind::RateLimits.delete_some(database, NOW).await.unwrap();
    let (rows, more) = (BATCH, true);
    assert_eq!(deleted, Deleted { rows, more });
    assert_eq!(hits(&app).await, 2001 - BATCH);
    let rest = purge(database, Kind::RateLimits, NOW).await.unwrap();
    assert_eq!(rest, 2001 - BATCH);
    assert_eq!(hits(&app).await, 0);
}

/// The trigger stands for another one, who deletes a row between its being found and its
/// turn: a batch that deletes fewer than it found is not the last.
#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_purge_beside_another_goes_on_until_nothing_is_left() {
    let app = TestApp::start().await;
    fill(&app).await;
    let anothers = "DELETE FROM rate_limits WHERE key = 'hit1'";
    let when = "AFTER DELETE ON rate_limits";
    app.trigger("another", when, "OLD.key = 'hit0'", anothers)
        .await;
    let purged = purge(&app.pool, Kind::RateLimits, NOW).await;
    assert_eq!(purged.unwrap(), 2000);
    assert_eq!(hits(&app).await, 0);
}

/// SQLite's log goes into the file bit by bit, so that no request finds a thousand pages
/// of it to write.
#[tokio::test]
async fn what_was_deleted_does_not_gather_in_the_log() {
    let app = TestApp::on_sqlite().await;
    fill(&app).await;
    let before = app.database.log_length();
    purge(&app.pool, Kind::RateLimits, NOW).await.unwrap();
    // The first batch may stand behind what was there.
    let after = app.database.log_length();
    assert!(after < before + before / 2, "{before} {after}");
}

#[tokio::test]
async fn requests_are_answered_while_it_runs() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    fill(&app).await;
    let database = app.pool.clone();
    let purging = tokio::spawn(async move { purge(&database, Kind::RateLimits, NOW).await });
    while hits(&app).await == 2001 {
        tokio::task::yield_now().await;
    }
    // Reading and writing.
    assert_eq!(browser.get("/home").await.status, 200);
    let edited = browser
        .post("/edit_profile", &[("username", "alice"), ("about_me", "x")])
        .await;
    edited.redirects_to("/user/alice");
    assert!(hits(&app).await > 0, "it was over before");
    assert_eq!(purging.await.unwrap().unwrap(), 2001);
}

/// 2001 counted attempts that are over.
async fn fill(app: &TestApp) {
    app.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO rate_limits (key, capacity, count, expires_at) \
         SELECT 'hit' || i, 1, 1, 1 FROM n",
    )
    .await;
}

async fn hits(app: &TestApp) -> u64 {
    let hits = app
        .count("SELECT COUNT(*) FROM rate_limits WHERE key LIKE 'hit%'")
        .await;
    u64::try_from(hits).unwrap()
}

#[tokio::test]
async fn nothing_that_lives_is_touched() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.mail_to("alice@example.com").await;
    app.advance(60);
    let half = app.half_logged_in("alice").await;
    let reset = app.reset_link("alice").await;
    let not_me = app.not_me("alice", NoticeKind::PasswordChanged, None).await;
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
    half.verify(&app.last_code()).await.redirects_to("/home");
    half.get(&not_me).await.redirects_to("/not_me");
    let page = half.get("/not_me").await;
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
async fn a_session_is_deleted_when_it_is_over() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
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
    browser
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn it_works_again_and_again_until_it_is_stopped() {
    let app = TestApp::start().await;
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn(task(&app).run(stopped));
    for _ in 0..3 {
        fill(&app).await;
        while hits(&app).await > 0 {
            tokio::task::yield_now().await;
        }
    }
    stop.send_replace(true);
    working.await.unwrap();
    // One whose app is gone ends too.
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn(task(&app).run(stopped));
    drop(stop);
    working.await.unwrap();
}

#[tokio::test]
async fn what_fails_is_logged_and_the_rest_goes_on() {
    logs::keep();
    let app = TestApp::start().await;
    app.register("alice").await;
    let (_, sql, kept) = ROWS[6];
    insert(&app, sql, "over", NOW - kept).await;
    app.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
        .await;
    logs::take();
    task(&app).round().await;
    let lines = logs::take();
    let told = |parts: [&str; 2]| {
        let all = |line: &&String| parts.iter().all(|part| line.contains(part));
        lines.iter().find(all).is_some()
    };
    assert!(told(["purge_failed", "rate limits"]), "{lines:?}");
    assert!(told(["purged", "activity"]), "{lines:?}");
    assert_eq!(app.count("SELECT COUNT(*) FROM activity").await, 0);
}
