//! The worker and its queue: nothing is lost, and nothing is sent twice.

use twostep::models::outbox::{Mail, NoticeKind, Queued};
use twostep::services::mailer::Mailer;
use twostep::services::metrics::Snapshot;

use super::{Office, link_in, notice};
use crate::logs;
use crate::support::smtp::{Fault, SmtpServer, Tls};

const DAY: u64 = 24 * 60 * 60;

#[tokio::test]
async fn a_mail_is_sent_once_with_a_link_that_the_database_does_not_hold() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    office
        .enqueue(&Mail::Notice(notice(NoticeKind::PasswordChanged)))
        .await;
    office.worker.deliver_due().await;
    office.worker.deliver_due().await;
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!((office.queued().await, office.tokens().await), (0, 2));
    let mut pages: Vec<String> = Vec::new();
    for mail in &received {
        let link = link_in(mail);
        let (page, token) = link.rsplit_once('/').unwrap();
        pages.push(page.to_owned());
        assert_eq!(token.len(), 43);
        let bytes = office.database.contents(&office.pool).await;
        assert!(!bytes.windows(43).any(|window| window == token.as_bytes()));
    }
    pages.sort();
    assert_eq!(
        pages,
        [
            "http://localhost:3000/not_me",
            "http://localhost:3000/reset_password"
        ]
    );
}

#[tokio::test]
async fn a_notice_says_in_whole_hours_how_long_its_link_lives() {
    let hour = 60 * 60;
    for (age, words) in [
        (DAY, "within 24 hours:"),
        (DAY + 1, "within 23 hours:"),
        (2 * DAY - 2 * hour, "within 2 hours:"),
        (2 * DAY - 2 * hour + 1, "within 1 hour:"),
        (2 * DAY - 1, "within 1 hour:"),
    ] {
        let server = SmtpServer::start(Tls::Never).await;
        let office = Office::new(&server).await;
        office.advance(age);
        office
            .enqueue(&Mail::Notice(notice(NoticeKind::PasswordChanged)))
            .await;
        office.worker.deliver_due().await;
        let body = server.received()[0].body();
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(body.matches(words).count(), 2, "{age}: {body}");
    }
}

#[tokio::test]
async fn links_begin_with_the_base_url_alone() {
    let server = SmtpServer::start(Tls::Never).await;
    let mut office = Office::new(&server).await;
    office.worker.base_url = "https://login.example:8443".parse().unwrap();
    office.enqueue(&Mail::ResetPassword).await;
    office.worker.deliver_due().await;
    let link = link_in(&server.received()[0]);
    assert!(link.starts_with("https://login.example:8443/reset_password/"));
}

#[tokio::test]
async fn a_mail_that_is_refused_for_now_is_tried_again_later_and_later() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    server.refuse("RCPT", "450 greylisted");
    office.worker.deliver_due().await;
    let attempts = || server.times_heard("RCPT");
    assert_eq!(attempts(), 1);
    let pauses = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600];
    for (number, pause) in pauses.into_iter().enumerate() {
        office.advance(pause - 1);
        office.worker.deliver_due().await;
        assert_eq!(attempts(), number + 1, "too early");
        office.advance(1);
        office.worker.deliver_due().await;
        assert_eq!(attempts(), number + 2, "it is time");
        assert_eq!(office.tokens().await, 0, "the link went nowhere");
    }
    server.behave();
    office.advance(3600);
    office.worker.deliver_due().await;
    assert_eq!(server.received().len(), 1);
    assert_eq!((office.queued().await, office.tokens().await), (0, 1));
}

#[tokio::test]
async fn a_server_that_comes_back_gets_the_mail() {
    let server = SmtpServer::start(Tls::Never).await;
    let mut office = Office::new(&server).await;
    let works = office.worker.mailer.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    office.worker.mailer = super::mailer(&format!("smtp://127.0.0.1:{port}"), &server).unwrap();
    office.enqueue(&Mail::ResetPassword).await;
    office.worker.deliver_due().await;
    assert_eq!(office.queued().await, 1);
    office.worker.mailer = works;
    office.advance(30);
    office.worker.deliver_due().await;
    assert_eq!((server.received().len(), office.queued().await), (1, 0));
}

/// ASVS 16.2.5, 16.3.4
#[tokio::test]
async fn a_refused_recipient_is_given_up_and_logged_without_the_address() {
    logs::keep();
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    server.refuse("RCPT", "550 alice@example.com does not live here");
    office.enqueue(&Mail::ResetPassword).await;
    logs::take();
    office.worker.deliver_due().await;
    assert_eq!((office.queued().await, office.tokens().await), (0, 0));
    let lines = logs::take().join("\n");
    assert!(lines.contains("mail_given_up"), "{lines}");
    assert!(lines.contains("a…@example.com"), "{lines}");
    assert!(
        lines.contains("RCPT TO: the server answered 550"),
        "{lines}"
    );
    assert!(!lines.contains("alice"), "{lines}");
}

#[tokio::test]
async fn a_mail_is_given_up_after_a_day() {
    logs::keep();
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    server.refuse("MAIL", "451 not now");
    office.enqueue(&Mail::ResetPassword).await;
    office.worker.deliver_due().await;
    office.advance(DAY - 1);
    logs::take();
    office.worker.deliver_due().await;
    assert_eq!(office.queued().await, 1);
    assert!(!logs::take().join("\n").contains("mail_given_up"));
    office.advance(3600);
    office.worker.deliver_due().await;
    assert_eq!((office.queued().await, office.tokens().await), (0, 0));
    let lines = logs::take().join("\n");
    assert!(lines.contains("mail_given_up"), "{lines}");
    assert!(
        lines.contains("MAIL FROM: the server answered 451"),
        "{lines}"
    );
}

#[tokio::test]
async fn an_email_that_waited_for_the_program_for_a_day_is_given_up_unsent() {
    logs::keep();
    for (waited, sent) in [(DAY - 1, true), (DAY, false), (3 * DAY, false)] {
        for mail in [
            Mail::ResetPassword,
            Mail::Notice(notice(NoticeKind::PasswordChanged)),
        ] {
            let server = SmtpServer::start(Tls::Never).await;
            let office = Office::new(&server).await;
            office.enqueue(&mail).await;
            office.advance(waited);
            logs::take();
            office.worker.deliver_due().await;
            assert_eq!(server.received().len(), usize::from(sent), "{waited}");
            assert_eq!(office.queued().await, 0);
            assert_eq!(office.tokens().await, i64::from(sent), "{waited}");
            let lines = logs::take().join("\n");
            let given_up = lines.contains("mail_given_up") && lines.contains("not sent in time");
            assert_eq!(given_up, !sent, "{lines}");
            let numbers = office
                .app
                .state
                .metrics
                .encode(Snapshot::default())
                .unwrap();
            let count = format!("outcome=\"given_up\"}} {}", i64::from(!sent));
            assert_eq!(numbers.contains(&count), !sent, "{numbers}");
        }
    }
}

#[tokio::test]
async fn after_days_without_a_server_a_fresh_email_is_sent_and_no_old_one() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    server.refuse("CONNECT", "421 closed");
    office.enqueue(&Mail::ResetPassword).await;
    office
        .enqueue(&Mail::Notice(notice(NoticeKind::PhoneChanged)))
        .await;
    office.worker.deliver_due().await;
    assert_eq!(office.queued().await, 2);
    office.advance(3 * DAY);
    server.behave();
    office
        .enqueue(&Mail::Notice(notice(NoticeKind::PasswordChanged)))
        .await;
    office.worker.deliver_due().await;
    let subjects = server.received()[0].headers("Subject");
    assert_eq!(subjects, ["Your Twostep password was changed"]);
    assert_eq!((server.received().len(), office.queued().await), (1, 0));
}

#[tokio::test]
async fn after_a_crash_an_email_is_sent_again_once_the_lease_expires() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let database = &office.pool;
    let taken = Queued::take(database, office.app.state.clock.now()).await;
    let taken = taken.unwrap().unwrap();
    // Here the program dies.
    office.advance(299);
    office.worker.deliver_due().await;
    assert!(server.received().is_empty());
    office.advance(1);
    office.worker.deliver_due().await;
    let received = server.received();
    assert_eq!((received.len(), office.queued().await), (1, 0));
    let id = format!("<{}@login.example>", taken.id);
    assert_eq!(received[0].headers("Message-ID"), [id]);
}

#[tokio::test]
async fn a_mail_that_may_have_arrived_keeps_its_link_and_its_name() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    server.misbehave(".", Fault::HangUp);
    office.worker.deliver_due().await;
    assert_eq!((office.queued().await, office.tokens().await), (1, 1));
    server.behave();
    office.advance(30);
    office.worker.deliver_due().await;
    let received = server.received();
    assert_eq!((received.len(), office.tokens().await), (2, 2));
    let [first, second] = [&received[0], &received[1]].map(|it| it.headers("Message-ID"));
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_server_that_never_answers_gets_a_mail_three_times() {
    logs::keep();
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let hang_up = (".", Fault::HangUp);
    // Of this one it is clear that it did not arrive.
    let later = ("RCPT", Fault::Say("450 later".to_owned()));
    for ((at, fault), received, pause) in [
        (hang_up.clone(), 1, 30),
        (hang_up.clone(), 2, 60),
        (later, 2, 120),
        (hang_up, 3, 0),
    ] {
        server.misbehave(at, fault);
        logs::take();
        office.worker.deliver_due().await;
        assert_eq!(server.received().len(), received);
        assert_eq!(office.queued().await, i64::from(pause > 0));
        office.advance(pause);
    }
    let lines = logs::take().join("\n");
    assert!(lines.contains("mail_unanswered"), "{lines}");
    assert!(!lines.contains("mail_given_up") && !lines.contains("alice"));
    office.advance(DAY);
    office.worker.deliver_due().await;
    assert_eq!((server.received().len(), office.tokens().await), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_send_a_mail_once() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    for _ in 0..8 {
        office
            .enqueue(&Mail::Notice(notice(NoticeKind::PhoneChanged)))
            .await;
    }
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let worker = office.worker.clone();
            tokio::spawn(async move { worker.deliver_due().await })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let received = server.received();
    let mut ids: Vec<_> = received
        .iter()
        .flat_map(|it| it.headers("Message-ID"))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(
        (received.len(), ids.len(), office.queued().await),
        (8, 8, 0)
    );
}

#[tokio::test]
async fn what_this_version_cannot_read_is_left_for_another_and_holds_nothing_up() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let database = &office.pool;
    sqlx::query("UPDATE outbox SET mail = '\"of_tomorrow\"'")
        .execute(database)
        .await
        .unwrap();
    office.enqueue(&Mail::ResetPassword).await;
    office.worker.deliver_due().await;
    assert_eq!((server.received().len(), office.queued().await), (1, 1));
    office.advance(DAY);
    office.worker.deliver_due().await;
    assert_eq!(office.queued().await, 0);
}

#[tokio::test]
async fn a_database_that_fails_is_logged_and_asked_again() {
    logs::keep();
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let database = &office.pool;
    for (sql, sent) in [
        ("ALTER TABLE outbox RENAME TO lost", 0),
        ("ALTER TABLE lost RENAME TO outbox", 1),
    ] {
        sqlx::query(sql).execute(database).await.unwrap();
        logs::take();
        office.worker.deliver_due().await;
        let failed = logs::take().join("\n").contains("mail_queue_failed");
        assert_eq!((server.received().len(), failed), (sent, sent == 0));
    }
}

#[tokio::test]
async fn no_token_goes_out_that_is_not_kept() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let database = &office.pool;
    sqlx::query("ALTER TABLE mail_tokens RENAME TO lost")
        .execute(database)
        .await
        .unwrap();
    office.worker.deliver_due().await;
    assert!(server.commands().is_empty());
    assert_eq!(office.queued().await, 1);
}

#[tokio::test]
async fn logs_hold_no_token_and_no_address() {
    logs::keep();
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    assert!(matches!(office.worker.mailer, Mailer::Smtp(_)));
    office.enqueue(&Mail::ResetPassword).await;
    server.refuse(".", "451 later");
    logs::take();
    office.worker.deliver_due().await;
    server.behave();
    office.advance(30);
    office.worker.deliver_due().await;
    let lines = logs::take().join("\n");
    assert!(
        lines.contains("mail_delayed") && lines.contains("mail_sent"),
        "{lines}"
    );
    let link = link_in(&server.received()[0]);
    let token = link.rsplit('/').next().unwrap();
    assert!(
        !lines.contains(token) && !lines.contains("alice"),
        "{lines}"
    );
}
