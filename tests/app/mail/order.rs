//! Which email goes next, and when.

use twostep::models::outbox::{Mail, Notice, NoticeKind, Queued};

use super::{Office, create, notice};
use crate::support::smtp::{SmtpServer, Tls};
use crate::support::{NOW, TestApp, a_client};

const HOUR: i64 = 60 * 60;

/// Names and addresses of all emails that are due at this time, in their order.
async fn order(office: &Office, now: i64) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(queued) = Queued::take(&office.pool, now).await.unwrap() {
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
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    let bob = create(&office.app.state, "bob").await;
    let carol = create(&office.app.state, "carol").await;
    let a_notice = Mail::Notice(notice(NoticeKind::PasswordChanged));
    for (user, mail) in [
        (&office.user, &a_notice),
        (&office.user, &a_notice),
        (&office.user, &a_notice),
        (&bob, &a_notice),
        (&bob, &a_notice),
        (&office.user, &Mail::ResetPassword),
        (&carol, &a_notice),
        (&carol, &Mail::ResetPassword),
    ] {
        office.enqueue_for(user, mail).await;
        office.advance(1);
    }
    assert_eq!(
        order(&office, NOW + 10).await,
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

/// A retry waits for its time, and those behind it do not wait for it.
#[tokio::test]
async fn an_email_that_is_not_due_holds_up_none_behind_it() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    let bob = create(&office.app.state, "bob").await;
    let a_notice = Mail::Notice(notice(NoticeKind::PasswordChanged));
    office.enqueue(&Mail::ResetPassword).await;
    let link = Queued::take(&office.pool, NOW).await.unwrap().unwrap();
    link.put_back(&office.pool, "later", false, NOW)
        .await
        .unwrap();
    office.enqueue(&a_notice).await;
    office.advance(1);
    office.enqueue_for(&bob, &a_notice).await;
    assert_eq!(
        order(&office, NOW + 29).await,
        ["notice bob", "notice alice"]
    );
    assert_eq!(order(&office, NOW + 30).await, ["link alice"]);
}

/// No rule puts an email off by more than an hour: a wrong clock did.
#[tokio::test]
async fn an_email_that_is_due_in_more_than_an_hour_is_due_now() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    for (ahead, due) in [(HOUR, 0), (HOUR + 1, 1), (3 * HOUR, 1)] {
        let now = NOW - ahead;
        let counted = Queued::count(&office.pool, now).await.unwrap();
        assert_eq!(counted, (1, due), "{ahead}");
        let taken = Queued::take(&office.pool, now).await.unwrap();
        assert_eq!(taken.is_some(), due == 1, "{ahead}");
        if let Some(taken) = taken {
            assert_eq!(taken.created_at, now, "its day begins now");
            // Of several that ask at once, one gets it.
            assert!(Queued::take(&office.pool, now).await.unwrap().is_none());
        }
        sqlx::query("UPDATE outbox SET next_attempt_at = $1, created_at = $1")
            .bind(NOW)
            .execute(&office.pool)
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
    // One waits for its retry, the other has not been tried.
    Queued::take(&app.pool, now).await.unwrap().unwrap();
    let app = app.restarted_at(NOW, &[]).await;
    app.next_mail().await;
    app.next_mail().await;
}
