//! The purge beside other instances and beside requests: one instance at a time, and no
//! request waits for it.

use tokio::sync::watch;
use twostep::models::Connection;
use twostep::models::purge::{Kind, Lease};
use twostep::tasks::purge::purge;

use super::{LATER, fill, hits, task};
use crate::logs;
use crate::sessions::in_flight::until_somebody_waits;
use crate::support::{NOW, TestApp};

/// Of two that begin at once one does all of it, and the other nothing.
#[tokio::test]
async fn two_instances_do_not_purge_at_once() {
    logs::keep();
    let app = TestApp::start().await;
    let (one, other) = (task(&app), task(&app));
    fill(&app).await;
    logs::take();
    tokio::join!(one.round(), other.round());
    assert_eq!(hits(&app).await, 0);
    let lines = logs::take();
    let told: Vec<_> = lines.iter().filter(|it| it.contains("purged")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("rows=2001"), "{told:?}");
}

#[tokio::test]
async fn the_lease_of_an_instance_that_died_expires() {
    let app = TestApp::start().await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let (died, other) = (Lease::new().unwrap(), Lease::new().unwrap());
    assert!(died.acquire(database, now).await.unwrap());
    assert!(died.acquire(database, now).await.unwrap(), "it goes on");
    assert!(!other.acquire(database, now).await.unwrap());
    fill(&app).await;
    app.advance(60 - 1);
    task(&app).round().await;
    assert_eq!(hits(&app).await, 2001);
    app.advance(1);
    task(&app).round().await;
    assert_eq!(hits(&app).await, 0);
    // A released lease is free at once, and a lost one cannot be released.
    let now = app.state.clock.now();
    assert!(other.acquire(database, now).await.unwrap());
    died.release(database).await.unwrap();
    let third = Lease::new().unwrap();
    assert!(!third.acquire(database, now).await.unwrap());
    other.release(database).await.unwrap();
    assert!(third.acquire(database, now).await.unwrap());
}

/// The clock was ahead when the lease was acquired, and was then corrected.
#[tokio::test]
async fn a_lease_from_the_future_is_free() {
    let app = TestApp::start().await;
    let database = &app.pool;
    for (ahead, free) in [(0, false), (1, true), (2 * 60 * 60, true)] {
        let (died, other) = (Lease::new().unwrap(), Lease::new().unwrap());
        assert!(died.acquire(database, NOW + ahead).await.unwrap());
        assert_eq!(other.acquire(database, NOW).await.unwrap(), free, "{ahead}");
        app.execute("DELETE FROM purge_turn").await;
    }
}

/// Whether another instance could begin to purge at once.
async fn is_lease_free(app: &TestApp) -> bool {
    let (other, now) = (Lease::new().unwrap(), app.state.clock.now());
    other.acquire(&app.pool, now).await.unwrap()
}

#[tokio::test]
async fn an_instance_that_is_stopped_half_way_releases_its_lease() {
    let app = TestApp::start().await;
    fill(&app).await;
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn(task(&app).run(stopped));
    while hits(&app).await == 2001 {
        tokio::task::yield_now().await;
    }
    assert!(!is_lease_free(&app).await, "it does nothing");
    stop.send_replace(true);
    working.await.unwrap();
    assert!(hits(&app).await > 0, "it was over before");
    assert!(is_lease_free(&app).await);
}

#[tokio::test]
async fn an_instance_that_fails_half_way_releases_its_lease() {
    logs::keep();
    let app = TestApp::start().await;
    let (event, always) = ("AFTER UPDATE ON purge_turn", "1 = 1");
    app.break_when("broken", event, always).await;
    logs::take();
    task(&app).round().await;
    let lines = logs::take();
    assert!(
        lines.iter().any(|it| it.contains("purge_failed")),
        "{lines:?}"
    );
    assert!(is_lease_free(&app).await);
}

/// A lease lasts for a minute, and is renewed before each batch.
#[tokio::test]
async fn a_kind_of_many_batches_keeps_the_lease() {
    let app = TestApp::start().await;
    fill(&app).await;
    let one = task(&app);
    let working = tokio::spawn(async move { one.round().await });
    for left in [1500, 1000, 500] {
        while hits(&app).await > left {
            tokio::task::yield_now().await;
        }
        assert!(!is_lease_free(&app).await, "{left}");
        app.advance(59);
    }
    working.await.unwrap();
    assert_eq!(hits(&app).await, 0);
    assert!(is_lease_free(&app).await);
}

/// On PostgreSQL two statements that take the same rows in another order would wait
/// for each other until one of them is killed.
#[tokio::test]
async fn a_request_that_takes_rows_in_another_order_is_not_killed_for_it() {
    let app = TestApp::start().await;
    app.execute(
        "INSERT INTO rate_limits (key, capacity, count, expires_at) \
         VALUES ('first', 1, 1, 1), ('second', 1, 1, 2), ('third', 1, 1, 3)",
    )
    .await;
    let mut request = app.pool.begin().await.unwrap();
    let take = async |connection: &mut Connection, bucket: &str| {
        sqlx::query("UPDATE rate_limits SET expires_at = $1 WHERE key = $2")
            .bind(LATER)
            .bind(bucket)
            .execute(connection)
            .await
            .unwrap();
    };
    take(&mut request, "third").await;
    let pool = app.state.database.clone();
    let purging = tokio::spawn(async move { purge(&pool, Kind::RateLimits, NOW).await });
    until_somebody_waits(&app).await;
    take(&mut request, "second").await;
    take(&mut request, "first").await;
    request.commit().await.unwrap();
    purging.await.unwrap().unwrap();
    let taken = "SELECT COUNT(*) FROM rate_limits WHERE key = 'third'";
    assert_eq!(app.count(taken).await, 1, "it was prolonged meanwhile");
}
