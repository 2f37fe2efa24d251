//! Purging beside other instances and beside requests: one at a time, and in nobody's
//! way.

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
    let (database, now) = (&app.state.database, app.state.clock.now());
    let (died, other) = (Turn::new().unwrap(), Turn::new().unwrap());
    assert!(died.hold(database, now).await.unwrap());
    assert!(died.hold(database, now).await.unwrap(), "it goes on");
    assert!(!other.hold(database, now).await.unwrap());
    fill(&app).await;
    app.advance(15 * 60 - 1);
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

/// On PostgreSQL two statements that take the same rows in another order would wait
/// for each other until one of them is killed.
#[tokio::test]
async fn a_request_that_takes_rows_in_another_order_is_not_killed_for_it() {
    let app = TestApp::start().await;
    app.execute(
        "INSERT INTO throttle_locks (bucket, expires_at) \
         VALUES ('first', 1), ('second', 2), ('third', 3)",
    )
    .await;
    let database = app.state.database.clone();
    let mut request = database.begin().await.unwrap();
    let take = async |connection: &mut Connection, bucket: &str| {
        sqlx::query("UPDATE throttle_locks SET expires_at = $1 WHERE bucket = $2")
            .bind(LATER)
            .bind(bucket)
            .execute(connection)
            .await
            .unwrap();
    };
    take(&mut request, "third").await;
    let pool = database.clone();
    let purging = tokio::spawn(async move { purge(&pool, Kind::Locks, NOW).await });
    until_somebody_waits(&app).await;
    take(&mut request, "second").await;
    take(&mut request, "first").await;
    request.commit().await.unwrap();
    purging.await.unwrap().unwrap();
    let taken = "SELECT COUNT(*) FROM throttle_locks WHERE bucket = 'third'";
    assert_eq!(app.count(taken).await, 1, "it was prolonged meanwhile");
}
