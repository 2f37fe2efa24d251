//! What others feel while half a million rows are purged.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio::runtime::Runtime;
use twostep::models::purge::Kind;
use twostep::services::clock::Clock;
use twostep::tasks::purge::purge;

use crate::Sized;
use crate::support::load::{self, Sample, Stats};
use crate::support::report::time;
use crate::support::seed;

const PAUSE: Duration = Duration::from_millis(5);

pub fn measure(runtime: &Runtime, it: &Sized, expired: u64) -> String {
    let (now, database) = (Clock::system().now(), it.site.database.clone());
    runtime.block_on(expire(it, expired, now));
    let idle = readers_and_writers(runtime, it, || std::thread::sleep(Duration::from_secs(5)));
    let begun = Instant::now();
    let busy = readers_and_writers(runtime, it, || {
        let purged = runtime.block_on(purge(&database, Kind::Sessions, now));
        purged.expect("not purged");
    });
    // Some of them by the server, which purges now and then.
    assert_eq!(runtime.block_on(left(it, now)), 0, "not all were purged");
    let told = |(read, written): &(Stats, Stats)| {
        let of = |stats: &Stats| {
            let (p50, p99) = (time(stats.within(0.5)), time(stats.within(0.99)));
            format!("p50 {p50}, p99 {p99}, slowest {}", time(stats.longest()))
        };
        format!("pages {}; changes {}", of(read), of(written))
    };
    format!(
        "{expired} expired sessions are purged in {:.0?}. Meanwhile: {} (wanted: none above 50 ms). \
         Before: {}.",
        begun.elapsed(),
        told(&busy),
        told(&idle),
    )
}

/// Somebody who reads and somebody who writes, for as long as `work` lasts.
fn readers_and_writers(runtime: &Runtime, it: &Sized, work: impl FnOnce()) -> (Stats, Stats) {
    let now = Clock::system().now();
    let cookie = runtime.block_on(seed::log_in(&it.site.database, 7, now));
    let name = seed::name(7);
    let read = load::get(&format!("/user/{name}"), &cookie);
    let form = format!("username={name}&about_me=Hello.");
    let written = load::post("/edit_profile", &cookie, &form);
    let (reader, writer) = (Sample::of(read, 200), Sample::of(written, 303));
    std::thread::scope(|scope| {
        let read = scope.spawn(|| reader.take(it.server.address, PAUSE));
        let written = scope.spawn(|| writer.take(it.server.address, PAUSE));
        work();
        reader.end();
        writer.end();
        let read = read.join().expect("the reader failed");
        (read, written.join().expect("the writer failed"))
    })
}

/// Adds sessions that are over.
async fn expire(it: &Sized, count: u64, now: i64) {
    let statement = "WITH RECURSIVE numbers (n) AS \
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) \
        INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, data, \
        created_at, last_active_at, idle_expires_at, expires_at) \
        SELECT hex(randomblob(16)), lower(hex(randomblob(32))), u.id, $2, 0, '{}', $2, $2, \
        $2 + n % 3600, $2 + 86400 FROM numbers \
        JOIN users u ON u.username_key = 'person' || (n % $3)";
    sqlx::query(AssertSqlSafe(statement))
        .bind(seed::signed(count))
        .bind(now - 7200)
        .bind(seed::signed(it.people))
        .execute(&it.site.database)
        .await
        .expect("not expired");
}

/// How many of them are left.
async fn left(it: &Sized, now: i64) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM sessions WHERE idle_expires_at < $1")
        .bind(now)
        .fetch_one(&it.site.database)
        .await
        .expect("not counted")
}
