//! The worker and its queue: no email is lost, and none is sent twice without need.

use twostep::models::outbox::{Mail, NoticeKind, Queued};
use twostep::services::metrics::Snapshot;

use super::{TestQueue, a_notice, closed_port, link_in, mailer, notice};
use crate::logs;
use crate::support::smtp::Fault;

const DAY: u64 = 24 * 60 * 60;

/// ASVS 16.2.5
#[tokio::test]
async fn an_email_is_sent_once_and_no_table_and_no_log_holds_its_token() {
    logs::keep();
    let mut queue = TestQueue::new().await;
    queue.worker.base_url = "https://login.example:8443".parse().unwrap();
    queue.enqueue(&Mail::ResetPassword).await;
    queue.enqueue(&a_notice()).await;
    logs::take();
    queue.server.refuse(".", "451 later");
    queue.deliver_due().await;
    queue.server.behave();
    queue.advance(30);
    queue.deliver_due().await;
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (2, 0, 2));
    let lines = logs::take().join("\n");
    for event in ["mail_delayed", "mail_sent"] {
        assert_eq!(lines.matches(event).count(), 2, "{lines}");
    }
    assert!(!lines.contains("alice"), "{lines}");
    let bytes = queue.database.contents(&queue.pool).await;
    let mut pages = Vec::new();
    for mail in queue.server.received() {
        let link = link_in(&mail);
        let (page, token) = link.rsplit_once('/').unwrap();
        assert_eq!(token.len(), 43);
        assert!(!bytes.windows(43).any(|window| window == token.as_bytes()));
        assert!(!lines.contains(token), "{lines}");
        pages.push(page.to_owned());
    }
    pages.sort();
    assert_eq!(
        pages,
        [
            "https://login.example:8443/not_me",
            "https://login.example:8443/reset_password"
        ]
    );
}

#[tokio::test]
async fn a_notice_says_in_whole_hours_how_long_its_link_is_valid() {
    let hour = 60 * 60;
    let queue = TestQueue::new().await;
    let mut now = 0;
    for (sent, (age, life)) in [
        (DAY, "within 24 hours:"),
        (DAY + 1, "within 23 hours:"),
        (2 * DAY - 2 * hour, "within 2 hours:"),
        (2 * DAY - 2 * hour + 1, "within 1 hour:"),
        (2 * DAY - 1, "within 1 hour:"),
    ]
    .into_iter()
    .enumerate()
    {
        queue.advance(age - now);
        now = age;
        queue.enqueue(&a_notice()).await;
        queue.deliver_due().await;
        let body = queue.server.received()[sent].body();
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(body.matches(life).count(), 2, "{age}: {body}");
    }
}

#[tokio::test]
async fn an_email_is_retried_after_ever_longer_pauses_up_to_an_hour() {
    let mut queue = TestQueue::new().await;
    let works = queue.worker.mailer.clone();
    let unreachable = format!("smtp://127.0.0.1:{}", closed_port().await);
    queue.worker.mailer = mailer(&unreachable, &queue.server);
    queue.enqueue(&Mail::ResetPassword).await;
    queue.deliver_due().await;
    queue.worker.mailer = works;
    queue.server.refuse("RCPT", "450 greylisted");
    let attempts = || queue.server.times_heard("RCPT");
    let pauses = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600];
    for (number, pause) in pauses.into_iter().enumerate() {
        queue.advance(pause - 1);
        queue.deliver_due().await;
        assert_eq!(attempts(), number, "too early");
        queue.advance(1);
        queue.deliver_due().await;
        assert_eq!(attempts(), number + 1, "too late");
        assert_eq!(queue.counts().await, (0, 1, 0), "a link was not revoked");
    }
    queue.server.behave();
    queue.advance(3600);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 0, 1));
}

/// ASVS 16.2.5, 16.3.4
#[tokio::test]
async fn an_email_to_a_refused_recipient_is_given_up_and_logged_without_the_address() {
    logs::keep();
    let queue = TestQueue::new().await;
    let refusal = "550 alice@example.com does not live here";
    queue.server.refuse("RCPT", refusal);
    queue.enqueue(&Mail::ResetPassword).await;
    logs::take();
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (0, 0, 0));
    let lines = logs::take().join("\n");
    let error = "RCPT TO: the server replied 550";
    for part in ["mail_given_up", "a…@example.com", error] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!lines.contains("alice"), "{lines}");
}

#[tokio::test]
async fn an_email_is_given_up_after_a_day_of_attempts() {
    logs::keep();
    let queue = TestQueue::new().await;
    queue.server.refuse("MAIL", "451 not now");
    queue.enqueue(&Mail::ResetPassword).await;
    queue.deliver_due().await;
    for (seconds, queued) in [(DAY - 1, 1), (3600, 0)] {
        queue.advance(seconds);
        logs::take();
        queue.deliver_due().await;
        assert_eq!(queue.counts().await, (0, queued, 0));
        let lines = logs::take().join("\n");
        assert_eq!(lines.contains("mail_given_up"), queued == 0, "{lines}");
        let error = "MAIL FROM: the server replied 451";
        assert!(lines.contains(error), "{lines}");
    }
}

#[tokio::test]
async fn an_email_that_waited_for_a_day_is_given_up_without_an_attempt() {
    logs::keep();
    for (waited, sent) in [(DAY - 1, true), (DAY, false), (3 * DAY, false)] {
        for mail in [Mail::ResetPassword, a_notice()] {
            let queue = TestQueue::new().await;
            queue.enqueue(&mail).await;
            queue.advance(waited);
            logs::take();
            queue.deliver_due().await;
            let count = i64::from(sent);
            let expected = (usize::from(sent), 0, count);
            assert_eq!(queue.counts().await, expected, "{waited}");
            let lines = logs::take().join("\n");
            let given_up = lines.contains("mail_given_up") && lines.contains("not sent in time");
            assert_eq!(given_up, !sent, "{lines}");
            let metrics = queue.app.state.metrics.encode(Snapshot::default()).unwrap();
            assert_eq!(metrics.contains("outcome=\"given_up\"} 1"), !sent);
        }
    }
}

#[tokio::test]
async fn after_days_without_a_server_a_new_email_is_sent_and_no_old_one() {
    let queue = TestQueue::new().await;
    queue.server.refuse("CONNECT", "421 closed");
    queue.enqueue(&Mail::ResetPassword).await;
    let old = Mail::Notice(notice(NoticeKind::PhoneChanged));
    queue.enqueue(&old).await;
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (0, 2, 0));
    queue.advance(3 * DAY);
    queue.server.behave();
    queue.enqueue(&a_notice()).await;
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 0, 1));
    let subjects = queue.server.received()[0].headers("Subject");
    assert_eq!(subjects, ["Your Twostep password was changed"]);
}

#[tokio::test]
async fn after_a_crash_an_email_is_sent_again_once_the_lease_expires() {
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    let now = queue.app.state.clock.now();
    let taken = Queued::take(&queue.pool, now).await.unwrap().unwrap();
    queue.advance(299);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (0, 1, 0));
    queue.advance(1);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 0, 1));
    let id = format!("<{}@login.example>", taken.id);
    let received = queue.server.received();
    assert_eq!(received[0].headers("Message-ID"), [id]);
}

#[tokio::test]
async fn an_email_without_a_reply_is_sent_three_times_with_one_id_and_its_links_stay_valid() {
    logs::keep();
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    let hang_up = (".", Fault::HangUp);
    // This one did not arrive, so it does not count.
    let later = ("RCPT", Fault::Say("450 later".to_owned()));
    for ((at, fault), received, pause) in [
        (hang_up.clone(), 1, 30),
        (hang_up.clone(), 2, 60),
        (later, 2, 120),
        (hang_up, 3, 0),
    ] {
        queue.server.misbehave(at, fault);
        logs::take();
        queue.deliver_due().await;
        let links = i64::try_from(received).unwrap();
        let expected = (received, i64::from(pause > 0), links);
        assert_eq!(queue.counts().await, expected);
        queue.advance(pause);
    }
    let lines = logs::take().join("\n");
    assert!(lines.contains("mail_unanswered"), "{lines}");
    assert!(!lines.contains("mail_given_up") && !lines.contains("alice"));
    let received = queue.server.received();
    let ids = received.iter().map(|mail| mail.headers("Message-ID"));
    assert!(ids.clone().all(|id| Some(id) == ids.clone().next()));
    queue.advance(DAY);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (3, 0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_send_each_email_once() {
    let queue = TestQueue::new().await;
    for _ in 0..8 {
        queue.enqueue(&a_notice()).await;
    }
    let workers = (0..6).map(|_| {
        let worker = queue.worker.clone();
        tokio::spawn(async move { worker.deliver_due().await })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(queue.counts().await, (8, 0, 8));
    let received = queue.server.received();
    let ids = received.iter().flat_map(|mail| mail.headers("Message-ID"));
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 8);
}

#[tokio::test]
async fn an_email_of_another_version_holds_up_no_other_and_is_given_up_after_a_day() {
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    queue
        .execute("UPDATE outbox SET mail = '\"of_tomorrow\"'")
        .await;
    queue.enqueue(&Mail::ResetPassword).await;
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 1, 1));
    queue.advance(DAY);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 0, 1));
}

#[tokio::test]
async fn an_email_stays_queued_while_the_database_fails() {
    logs::keep();
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    let deliver = async |broken: &'static str, repair: &'static str| {
        queue.execute(broken).await;
        logs::take();
        queue.deliver_due().await;
        queue.execute(repair).await;
        logs::take().join("\n")
    };
    let lines = deliver(
        "ALTER TABLE outbox RENAME TO lost",
        "ALTER TABLE lost RENAME TO outbox",
    )
    .await;
    assert!(lines.contains("mail_queue_failed"), "{lines}");
    // An email whose token cannot be stored is not sent.
    deliver(
        "ALTER TABLE mail_tokens RENAME TO lost_tokens",
        "ALTER TABLE lost_tokens RENAME TO mail_tokens",
    )
    .await;
    assert!(queue.server.commands().is_empty());
    assert_eq!(queue.counts().await, (0, 1, 0));
    queue.advance(30);
    queue.deliver_due().await;
    assert_eq!(queue.counts().await, (1, 0, 1));
}
