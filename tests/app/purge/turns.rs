//! Purging beside other instances and beside requests: one at a time, and in nobody's
//! way.

use tokio::sync::watch;
use twostep::models::Connection;
use twostep::models::purge::{Kind, Turn};
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
async fn the_turn_of_one_that_died_ends_by_itself() {
    let app = TestApp::start().await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let (died, other) = (Turn::new().unwrap(), Turn::new().unwrap());
    assert!(died.hold(database, now).await.unwrap());
    assert!(died.hold(database, now).await.unwrap(), "it goes on");
    assert!(!other.hold(database, now).await.unwrap());
    fill(&app).await;
    app.advance(60 - 1);
    task(&app).round().await;
    assert_eq!(hits(&app).await, 2001);
    app.advance(1);
    task(&app).round().await;
    assert_eq!(hits(&app).await, 0);
    // Given back it is anybody's at once; what was lost cannot be given back.
    let now = app.state.clock.now();
    assert!(other.hold(database, now).await.unwrap());
    died.give_back(database).await.unwrap();
    let third = Turn::new().unwrap();
    assert!(!third.hold(database, now).await.unwrap());
    other.give_back(database).await.unwrap();
    assert!(third.hold(database, now).await.unwrap());
}

/// Whether another instance could begin to purge at once.
async fn is_anybodys_turn(app: &TestApp) -> bool {
    let (other, now) = (Turn::new().unwrap(), app.state.clock.now());
    other.hold(&app.pool, now).await.unwrap()
}

#[tokio::test]
async fn the_turn_of_one_that_is_stopped_in_the_middle_is_anybodys_at_once() {
    let app = TestApp::start().await;
    fill(&app).await;
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn(task(&app).run(stopped));
    while hits(&app).await == 2001 {
        tokio::task::yield_now().await;
    }
    assert!(!is_anybodys_turn(&app).await, "it does nothing");
    stop.send_replace(true);
    working.await.unwrap();
    assert!(hits(&app).await > 0, "it was over before");
    assert!(is_anybodys_turn(&app).await);
}

#[tokio::test]
async fn the_turn_of_one_that_fails_half_way_is_anybodys_at_once() {
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
    assert!(is_anybodys_turn(&app).await);
}

/// A turn lasts for a minute, however long a kind takes.
#[tokio::test]
async fn a_kind_of_many_batches_keeps_its_turn() {
    let app = TestApp::start().await;
    fill(&app).await;
    let one = task(&app);
    let working = tokio::spawn(async move { one.round().await });
    for left in [1500, 1000, 500] {
        while hits(&app).await > left {
            tokio::task::yield_now().await;
        }
        assert!(!is_anybodys_turn(&app).await, "{left}");
        app.advance(59);
    }
    working.await.unwrap();
    assert_eq!(hits(&app).await, 0);
    assert!(is_anybodys_turn(&app).await);
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
