//! The order of the queue, and when an email is due.

use twostep::models::outbox::{Mail, Notice, NoticeKind, Queued};

use super::{TestQueue, a_notice, create_user};
use crate::support::{NOW, TestApp, a_client};

const HOUR: i64 = 60 * 60;

/// The emails that are due at `now`, in the order of the queue.
async fn order(queue: &TestQueue, now: i64) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(queued) = Queued::take(&queue.pool, now).await.unwrap() {
        let kind = match queued.mail().unwrap() {
            Mail::ResetPassword => "link",
            Mail::Notice(_) => "notice",
        };
        order.push(format!("{kind} {}", queued.username));
    }
    order
}

#[tokio::test]
async fn awaited_links_go_first_and_a_user_with_many_notices_delays_no_other() {
    let queue = TestQueue::new().await;
    let bob = create_user(&queue.app, "bob").await;
    let carol = create_user(&queue.app, "carol").await;
    for (user, mail) in [
        (&queue.user, &a_notice()),
        (&queue.user, &a_notice()),
        (&queue.user, &a_notice()),
        (&bob, &a_notice()),
        (&bob, &a_notice()),
        (&queue.user, &Mail::ResetPassword),
        (&carol, &a_notice()),
        (&carol, &Mail::ResetPassword),
    ] {
        queue.enqueue_for(user, mail).await;
        queue.advance(1);
    }
    assert_eq!(
        order(&queue, NOW + 10).await,
        [
            "link alice",
            "link carol",
            "notice alice",
            "notice bob",
            "notice carol",
            "notice alice",
            "notice bob",
            "notice alice",
        ]
    );
}

#[tokio::test]
async fn a_retry_that_is_not_due_holds_up_no_other_email() {
    let queue = TestQueue::new().await;
    let bob = create_user(&queue.app, "bob").await;
    queue.enqueue(&Mail::ResetPassword).await;
    let link = Queued::take(&queue.pool, NOW).await.unwrap().unwrap();
    link.put_back(&queue.pool, "later", false, NOW)
        .await
        .unwrap();
    queue.enqueue(&a_notice()).await;
    queue.advance(1);
    queue.enqueue_for(&bob, &a_notice()).await;
    assert_eq!(
        order(&queue, NOW + 29).await,
        ["notice bob", "notice alice"]
    );
    assert_eq!(order(&queue, NOW + 30).await, ["link alice"]);
}

/// No pause exceeds an hour, so a wrong clock wrote such a time.
#[tokio::test]
async fn an_email_that_is_due_in_more_than_an_hour_is_due_now() {
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    for (ahead, due) in [(HOUR, 0), (HOUR + 1, 1), (3 * HOUR, 1)] {
        let now = NOW - ahead;
        let counted = Queued::count(&queue.pool, now).await.unwrap();
        assert_eq!(counted, (1, due), "{ahead}");
        let taken = Queued::take(&queue.pool, now).await.unwrap();
        assert_eq!(taken.is_some(), due == 1, "{ahead}");
        if let Some(taken) = taken {
            assert_eq!(taken.created_at, now, "it is given up a day from now");
            assert!(Queued::take(&queue.pool, now).await.unwrap().is_none());
        }
        sqlx::query("UPDATE outbox SET next_attempt_at = $1, created_at = $1")
            .bind(NOW)
            .execute(&queue.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_was_two_hours_ahead_delays_no_email() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    app.advance(2 * 60 * 60);
    let (alice, now) = (app.user("alice").await.id, app.state.clock.now());
    let mut connection = app.pool.acquire().await.unwrap();
    for event in [NoticeKind::PasswordChanged, NoticeKind::PasswordReset] {
        let notice = Notice::new(event, &a_client(), now);
        notice.enqueue(&mut connection, &alice).await.unwrap();
    }
    drop(connection);
    // One waits for its retry.
    Queued::take(&app.pool, now).await.unwrap().unwrap();
    let app = app.restarted_at(NOW, &[]).await;
    app.next_mail().await;
    app.next_mail().await;
}
