//! Response times while the server purges half a million rows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio::runtime::Runtime;
use twostep::services::clock::Clock;
use twostep::tasks::purge::START;

use crate::Sized;
use crate::support::load::{self, Sample, Stats};
use crate::support::report::time;
use crate::support::seed;
use crate::support::site::Site;

/// The pause between two requests of a user.
const PAUSE: Duration = Duration::from_millis(5);

/// Restarts the server on a database with expired sessions, which it purges after [`START`].
pub fn measure(runtime: &Runtime, it: Sized, expired: u64) -> String {
    let (now, users, site) = (Clock::system().now(), it.users, it.site);
    drop(it.server);
    runtime.block_on(expire(&site, users, expired, now));
    let (server, started) = (site.serve(), Instant::now());
    let beside = |work: &dyn Fn()| readers_and_writers(runtime, &site, server.address, work);
    let idle = beside(&|| std::thread::sleep(START * 3 / 4));
    let busy = beside(&|| {
        while runtime.block_on(are_some_left(&site, now)) {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let describe = |(read, written): &(Stats, Stats)| {
        let of = |stats: &Stats| {
            let (p50, p99) = (time(stats.within(0.5)), time(stats.within(0.99)));
            format!("p50 {p50}, p99 {p99}, slowest {}", time(stats.longest()))
        };
        format!("pages {}; changes {}", of(read), of(written))
    };
    format!(
        "{expired} expired sessions are purged in {:.0?}. Meanwhile: {} (wanted: none above 50 ms). \
         Before: {}.",
        started.elapsed().saturating_sub(START),
        describe(&busy),
        describe(&idle),
    )
}

/// Reads and writes a profile during `work`.
fn readers_and_writers(
    runtime: &Runtime,
    site: &Site,
    address: SocketAddr,
    work: &dyn Fn(),
) -> (Stats, Stats) {
    let now = Clock::system().now();
    let cookie = runtime.block_on(seed::log_in(&site.database, 7, now));
    let name = seed::name(7);
    let read = load::get(&format!("/user/{name}"), &cookie);
    let form = format!("username={name}&about_me=Hello.");
    let written = load::post("/edit_profile", &cookie, &form);
    let (reader, writer) = (Sample::new(read, 200), Sample::new(written, 303));
    std::thread::scope(|scope| {
        let read = scope.spawn(|| reader.take(address, PAUSE));
        let written = scope.spawn(|| writer.take(address, PAUSE));
        work();
        reader.end();
        writer.end();
        let read = read.join().expect("the reader failed");
        (read, written.join().expect("the writer failed"))
    })
}

/// Adds expired sessions.
async fn expire(site: &Site, users: u64, count: u64, now: i64) {
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
        .bind(seed::signed(users))
        .execute(&site.database)
        .await
        .expect("not expired");
    // Sessions usually arrive one by one, so the write-ahead log is short.
    seed::checkpoint(&site.database).await;
}

/// Whether expired sessions are left.
async fn are_some_left(site: &Site, now: i64) -> bool {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 FROM sessions WHERE idle_expires_at < $1 LIMIT 1)",
    )
    .bind(now)
    .fetch_one(&site.database)
    .await
    .map(|count: i64| count > 0)
    .expect("not looked at")
}
