//! Several emails at once, each on its own connection.

use std::time::Duration;

use tokio::sync::watch;
use twostep::models::outbox::{Mail, NoticeKind};
use twostep::tasks::mail::CONNECTIONS;

use super::{Office, notice, patient_mailer};
use crate::support::smtp::{Fault, SmtpServer, Tls};
use crate::support::{PATIENCE, until};

/// An office that waits for its server for longer than a test takes.
async fn patient_office(server: &SmtpServer) -> Office {
    let mut office = Office::new(server).await;
    office.worker.mailer = patient_mailer(server);
    office.worker.at_the_end = Duration::from_millis(50);
    office
}

async fn enqueue_notices(office: &Office, count: usize) {
    for _ in 0..count {
        let mail = Mail::Notice(notice(NoticeKind::PasswordChanged));
        office.enqueue(&mail).await;
    }
}

#[tokio::test]
async fn emails_that_a_server_is_slow_with_do_not_hold_up_another() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = patient_office(&server).await;
    enqueue_notices(&office, CONNECTIONS - 1).await;
    server.misbehave("MAIL", Fault::Silence);
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(office.worker.clone().run(stopped));
    until(|| server.times_heard("MAIL") == CONNECTIONS - 1).await;
    server.behave();
    for sent in 1..=3 {
        office.enqueue(&Mail::ResetPassword).await;
        office.app.state.mail.wake();
        until(|| server.received().len() == sent).await;
        while office.queued().await >= i64::try_from(CONNECTIONS).unwrap() {
            tokio::task::yield_now().await;
        }
    }
    stop.send_replace(true);
    worker.await.unwrap();
}

/// The supervisor of the program waits for 20 seconds in all, and not for each email.
#[tokio::test]
async fn four_emails_are_in_hand_and_at_shutdown_they_are_put_back_together() {
    assert_eq!(CONNECTIONS, 4);
    let server = SmtpServer::start(Tls::Never).await;
    let mut office = patient_office(&server).await;
    // One after the other, they would take four times as long.
    let grace = Duration::from_millis(500);
    office.worker.at_the_end = grace;
    enqueue_notices(&office, CONNECTIONS + 1).await;
    server.misbehave("MAIL", Fault::Silence);
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(office.worker.clone().run(stopped));
    until(|| server.times_heard("MAIL") == CONNECTIONS).await;
    office.app.state.mail.wake();
    let stopping = std::time::Instant::now();
    stop.send_replace(true);
    let ended = tokio::time::timeout(PATIENCE, worker).await;
    ended.expect("it goes on").unwrap();
    assert!(stopping.elapsed() < grace * 4, "one after the other");
    let attempted = "SELECT COUNT(*) FROM outbox WHERE attempts = 1 AND last_error IS NOT NULL";
    let untouched = "SELECT COUNT(*) FROM outbox WHERE attempts = 0";
    assert_eq!(office.count(attempted).await, 4);
    assert_eq!(office.count(untouched).await, 1, "a fifth was begun");
    server.behave();
    office.advance(30);
    office.worker.deliver_due().await;
    assert_eq!((server.received().len(), office.queued().await), (5, 0));
}
