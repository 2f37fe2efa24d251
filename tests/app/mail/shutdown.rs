//! The worker beside a server that serves, to its end.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use twostep::models::outbox::{Mail, NoticeKind};
use twostep::server::Limits;

use super::{Office, notice, patient_mailer};
use crate::support::smtp::{Fault, SmtpServer, Tls};
use crate::support::{PATIENCE, until};

#[tokio::test]
async fn a_worker_sends_when_it_is_woken() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(office.worker.clone().run(stopped));
    for count in 1..=3 {
        office
            .enqueue(&Mail::Notice(notice(NoticeKind::PhoneChanged)))
            .await;
        office.app.state.mail.wake();
        until(|| server.received().len() == count).await;
    }
    stop.send_replace(true);
    worker.await.unwrap();
}

#[tokio::test]
async fn a_worker_looks_by_itself_now_and_then() {
    let server = SmtpServer::start(Tls::Never).await;
    let mut office = Office::new(&server).await;
    office.worker.interval = Duration::from_millis(10);
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(office.worker.clone().run(stopped));
    server.refuse("RCPT", "450 later");
    office.enqueue(&Mail::ResetPassword).await;
    let waiting = "SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL";
    while office.count(waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    server.behave();
    office.advance(30);
    until(|| server.received().len() == 1).await;
    // A worker whose app is gone ends too.
    drop(stop);
    worker.await.unwrap();
}

/// A worker that is told to stop while the server leaves it without an answer.
async fn stopped_in_the_middle(office: &Office, server: &SmtpServer) -> JoinHandle<()> {
    server.misbehave("MAIL", Fault::Silence);
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(office.worker.clone().run(stopped));
    until(|| server.commands().contains(&"MAIL".to_owned())).await;
    stop.send_replace(true);
    worker
}

#[tokio::test]
async fn the_mail_in_hand_is_finished_and_no_other_is_begun() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    office.enqueue(&Mail::ResetPassword).await;
    let worker = stopped_in_the_middle(&office, &server).await;
    worker.await.unwrap();
    let attempts = office
        .count("SELECT CAST(SUM(attempts) AS BIGINT) FROM outbox")
        .await;
    let waiting = office.count("SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL");
    assert_eq!((attempts, waiting.await), (1, 1));
}

/// Whoever supervises the program ends it by force after a while.
#[tokio::test]
async fn a_mail_that_a_server_is_too_slow_with_at_the_end_is_sent_by_the_next() {
    let server = SmtpServer::start(Tls::Never).await;
    let mut office = Office::new(&server).await;
    office.worker.mailer = patient_mailer(&server);
    office.worker.at_the_end = Duration::from_millis(50);
    office.enqueue(&Mail::ResetPassword).await;
    let worker = stopped_in_the_middle(&office, &server).await;
    let ended = tokio::time::timeout(PATIENCE, worker).await;
    ended.expect("it goes on").unwrap();
    assert_eq!(office.queued().await, 1);

    server.behave();
    office.advance(30);
    office.worker.deliver_due().await;
    assert_eq!((office.queued().await, server.received().len()), (0, 1));
    // However far the first attempt came, its link is as good as the second's.
    assert_eq!(office.tokens().await, 2);
}

#[tokio::test]
async fn the_app_ends_after_its_worker() {
    let server = SmtpServer::start(Tls::Never).await;
    let office = Office::new(&server).await;
    office.enqueue(&Mail::ResetPassword).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (state, app) = (office.app.state.clone(), office.app);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(listener, Limits::default(), async {
        let _ = stopped.await;
    }));
    let mailbox = state.demo_mailbox.clone().unwrap();
    mailbox.wait_for(1).await;
    let mail = mailbox.messages().remove(0);
    let start = format!("http://localhost:{port}/reset_password/");
    assert!(
        mail.link().unwrap().starts_with(&start),
        "the port it listens on"
    );
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(state.database.is_closed());
}
