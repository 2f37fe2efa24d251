//! The running worker: when it looks at the queue, parallel deliveries, and shutdown.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use twostep::models::outbox::Mail;
use twostep::server::Limits;
use twostep::services::mailer::{Mailer, Settings};
use twostep::tasks::mail::CONNECTIONS;

use super::{TestQueue, a_notice, settings};
use crate::support::smtp::Fault;
use crate::support::{PATIENCE, until};

/// A queue with a worker that waits longer for replies than a test takes.
async fn patient_queue() -> TestQueue {
    let mut queue = TestQueue::new().await;
    let settings = Settings {
        timeout: 10 * PATIENCE,
        ..settings(&queue.server.url(), &queue.server)
    };
    queue.worker.mailer = Mailer::smtp(settings).unwrap();
    queue.worker.shutdown_grace = Duration::from_millis(50);
    queue
}

/// Starts the worker. It stops when the guard is dropped.
fn run(queue: &TestQueue) -> (DropGuard, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let worker = tokio::spawn(queue.worker.clone().run(stop.clone()));
    (stop.drop_guard(), worker)
}

async fn stop(guard: DropGuard, worker: JoinHandle<()>) {
    drop(guard);
    let ended = tokio::time::timeout(PATIENCE, worker).await;
    ended.expect("the worker goes on").unwrap();
}

#[tokio::test]
async fn the_worker_sends_when_it_is_woken() {
    let queue = TestQueue::new().await;
    let (guard, worker) = run(&queue);
    for count in 1..=3 {
        queue.enqueue(&a_notice()).await;
        queue.app.state.mail.wake();
        until(|| queue.server.received().len() == count).await;
    }
    stop(guard, worker).await;
}

#[tokio::test]
async fn the_worker_looks_at_the_queue_regularly() {
    let mut queue = TestQueue::new().await;
    queue.worker.interval = Duration::from_millis(10);
    let (guard, worker) = run(&queue);
    queue.server.refuse("RCPT", "450 later");
    queue.enqueue(&Mail::ResetPassword).await;
    let delayed = "SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL";
    while queue.count(delayed).await == 0 {
        tokio::task::yield_now().await;
    }
    queue.server.behave();
    queue.advance(30);
    until(|| queue.server.received().len() == 1).await;
    stop(guard, worker).await;
}

#[tokio::test]
async fn slow_deliveries_do_not_hold_up_another_email() {
    let queue = patient_queue().await;
    let server = &queue.server;
    for _ in 1..CONNECTIONS {
        queue.enqueue(&a_notice()).await;
    }
    server.misbehave("MAIL", Fault::Silence);
    let (guard, worker) = run(&queue);
    until(|| server.times_heard("MAIL") == CONNECTIONS - 1).await;
    server.behave();
    for sent in 1..=3 {
        queue.enqueue(&Mail::ResetPassword).await;
        queue.app.state.mail.wake();
        until(|| server.received().len() == sent).await;
        while queue.counts().await.1 >= i64::try_from(CONNECTIONS).unwrap() {
            tokio::task::yield_now().await;
        }
    }
    stop(guard, worker).await;
}

/// The supervisor of the program waits for all emails together, and not for each.
#[tokio::test]
async fn four_emails_are_sent_at_once_and_put_back_together_at_shutdown() {
    assert_eq!(CONNECTIONS, 4);
    let mut queue = patient_queue().await;
    // One after the other, they would take four times as long.
    let grace = Duration::from_millis(500);
    queue.worker.shutdown_grace = grace;
    for _ in 0..=CONNECTIONS {
        queue.enqueue(&a_notice()).await;
    }
    queue.server.misbehave("MAIL", Fault::Silence);
    let (guard, worker) = run(&queue);
    until(|| queue.server.times_heard("MAIL") == CONNECTIONS).await;
    queue.app.state.mail.wake();
    let stopping = Instant::now();
    stop(guard, worker).await;
    assert!(stopping.elapsed() < grace * 4, "one after the other");
    let attempted = "SELECT COUNT(*) FROM outbox WHERE attempts = 1 AND last_error IS NOT NULL";
    let untouched = "SELECT COUNT(*) FROM outbox WHERE attempts = 0";
    assert_eq!(queue.count(attempted).await, 4);
    assert_eq!(queue.count(untouched).await, 1, "a fifth was started");
    queue.server.behave();
    queue.advance(30);
    queue.deliver_due().await;
    // The links of the first attempts stay valid, since the server may have those emails.
    assert_eq!(queue.counts().await, (5, 0, 9));
}

#[tokio::test]
async fn at_shutdown_deliveries_are_finished_and_no_other_starts() {
    let queue = TestQueue::new().await;
    for _ in 0..CONNECTIONS {
        queue.enqueue(&a_notice()).await;
    }
    queue.server.misbehave("MAIL", Fault::Silence);
    let (guard, worker) = run(&queue);
    // With all connections in use, the worker looks for no other email.
    until(|| queue.server.times_heard("MAIL") == CONNECTIONS).await;
    drop(guard);
    queue.enqueue(&a_notice()).await;
    queue.app.state.mail.wake();
    worker.await.unwrap();
    let timed_out = "SELECT COUNT(*) FROM outbox WHERE last_error LIKE 'MAIL FROM%'";
    let untouched = "SELECT COUNT(*) FROM outbox WHERE attempts = 0";
    let counts = (queue.count(timed_out).await, queue.count(untouched).await);
    assert_eq!(counts, (4, 1));
}

#[tokio::test]
async fn the_app_ends_after_its_worker() {
    let queue = TestQueue::new().await;
    queue.enqueue(&Mail::ResetPassword).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (state, app) = (queue.app.state.clone(), queue.app);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(listener, Limits::default(), async {
        let _ = stopped.await;
    }));
    let mailbox = state.demo_mailbox.clone().unwrap();
    until(|| !mailbox.emails().is_empty()).await;
    let email = mailbox.emails().remove(0);
    let start = format!("http://localhost:{port}/reset_password/");
    assert!(email.link().unwrap().starts_with(&start));
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(state.database.is_closed());
}
