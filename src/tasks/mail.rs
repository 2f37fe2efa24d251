//! Sends the queued emails, several at once, and queues the links to a new password that
//! were requested.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use url::Url;

use crate::models::mail_token::{MailToken, Purpose};
use crate::models::outbox::{Mail, Queued};
use crate::models::reset_request::{self, Resolved};
use crate::models::token::Token;
use crate::models::{self, Database};
use crate::services::clock::Clock;
use crate::services::mailer::{Email, Mailer, SendError};
use crate::services::metrics::Metrics;
use crate::views::email::{self, NoticeEmail, ResetPasswordEmail};

/// Emails that an instance sends at once, each on a connection of its own, so that a slow
/// server or recipient does not hold up all others.
pub const CONNECTIONS: usize = 4;

/// How often the worker looks at the queue without being woken: for retries, and for emails
/// that another instance queued or left behind.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How long the emails in hand may still take at shutdown, together. A mail server may take
/// two minutes, and the supervisor of the program does not wait for so long.
pub const AT_THE_END: Duration = Duration::from_secs(20);

/// How requests wake the worker. All clones wake the same one.
#[derive(Clone, Default)]
pub struct MailQueue(Arc<Notify>);

impl MailQueue {
    /// Wakes the worker. Call it after the commit, or the worker finds nothing.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Takes emails from the queue and sends them. Any number of workers may share a queue.
#[derive(Clone)]
pub struct MailWorker {
    /// Holds the queue.
    pub database: Database,
    /// Sends an email.
    pub mailer: Mailer,
    /// The beginning of every link.
    pub base_url: Url,
    /// The time.
    pub clock: Clock,
    /// Counts the outcomes.
    pub metrics: Metrics,
    /// Wakes the worker.
    pub queue: MailQueue,
    /// How often it looks at the queue without being woken.
    pub interval: Duration,
    /// How long the emails in hand may still take at shutdown.
    pub at_the_end: Duration,
}

/// Why an email was not sent.
enum Failure {
    /// A retry may succeed.
    Later(String),
    /// The server may have it.
    Unanswered(String),
    /// A retry cannot succeed.
    Never(String),
}

/// The emails that are being sent.
#[derive(Default)]
struct Deliveries {
    /// Each ends with the id of its email.
    tasks: JoinSet<Option<String>>,
    in_hand: HashSet<String>,
}

impl Deliveries {
    /// Waits until one has ended. None when there is none.
    async fn join_next(&mut self) -> Option<()> {
        let ended = self.tasks.join_next().await?;
        self.forget(ended);
        Some(())
    }

    /// Forgets those that have ended.
    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<Option<String>, JoinError>) {
        match ended {
            Ok(Some(id)) => _ = self.in_hand.remove(&id),
            Ok(None) => {}
            Err(_) => self.in_hand.clear(), // it cannot say which it was
        }
    }
}

impl MailWorker {
    /// Works until `stop` is true or its sender is gone. Then the emails in hand are
    /// finished, or put back if that takes too long.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut deliveries = Deliveries::default();
        while !is_stopped(&stop) {
            self.start_due(&mut deliveries, &stop).await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = self.queue.0.notified() => {}
                // Only then may more be due than was started.
                Some(()) = deliveries.join_next(), if deliveries.tasks.len() >= CONNECTIONS => {}
                () = tokio::time::sleep(self.interval) => {}
            }
        }
        while deliveries.join_next().await.is_some() {}
    }

    /// Resolves the requests for links and sends what is due now.
    pub async fn deliver_due(&self) {
        let (_never, stop) = watch::channel(false);
        let mut deliveries = Deliveries::default();
        loop {
            self.start_due(&mut deliveries, &stop).await;
            if deliveries.join_next().await.is_none() {
                return;
            }
        }
    }

    /// Starts to send what is due, until all connections are in use.
    async fn start_due(&self, deliveries: &mut Deliveries, stop: &watch::Receiver<bool>) {
        deliveries.forget_ended();
        while deliveries.tasks.len() < CONNECTIONS && !is_stopped(stop) {
            match self.start_next(deliveries, stop).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return log_queue_failure(&error),
            }
        }
    }

    /// Resolves one request for a link and starts to send one email, so that neither a flood
    /// of requests nor one of emails holds up the other. Returns whether there was any.
    async fn start_next(
        &self,
        deliveries: &mut Deliveries,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, models::Error> {
        let resolved = reset_request::resolve_next(&self.database, self.clock.now()).await?;
        let found = !matches!(resolved, Resolved::Nothing);
        // Beside the worker, as a delivery is.
        if let Resolved::Decoy(decoy) = resolved {
            let database = self.database.clone();
            deliveries.tasks.spawn(async move {
                if let Err(error) = decoy.imitate_delivery(&database).await {
                    log_queue_failure(&error);
                }
                None
            });
        }
        let Some(queued) = Queued::take(&self.database, self.clock.now()).await? else {
            return Ok(found);
        };
        // Its lease expires while it is in hand only where the clock jumps.
        if deliveries.in_hand.insert(queued.id.clone()) {
            let (worker, stop) = (self.clone(), stop.clone());
            deliveries.tasks.spawn(async move {
                let id = queued.id.clone();
                if let Err(error) = worker.deliver(queued, stop).await {
                    log_queue_failure(&error);
                }
                Some(id)
            });
        }
        Ok(true)
    }

    /// Sends an email, and removes it from the queue or puts it back.
    async fn deliver(
        &self,
        queued: Queued,
        stop: watch::Receiver<bool>,
    ) -> Result<(), models::Error> {
        if queued.is_stale(self.clock.now()) {
            let error = queued.last_error.as_deref().unwrap_or("no attempt");
            let failure = Failure::Never(format!("not sent in time: {error}"));
            return self.failed(&queued, failure).await;
        }
        // A task of its own, so that a panic is one more failure.
        let (worker, mail) = (self.clone(), queued.clone());
        let mut attempt = tokio::spawn(async move { worker.attempt(&mail).await });
        let ended = tokio::select! {
            ended = &mut attempt => ended,
            () = self.shutdown_deadline(stop) => {
                attempt.abort();
                attempt.await
            }
        };
        let failure = match ended {
            Ok(Ok(())) => {
                self.metrics.mail("sent");
                queued.remove(&self.database).await?;
                tracing::info!(event = "mail_sent", id = %queued.id, attempts = queued.attempts, "email sent");
                return Ok(());
            }
            Ok(Err(failure)) => failure,
            // Its link stays valid, since the server may have the email.
            Err(error) if error.is_cancelled() => {
                Failure::Later("shut down before the mail server answered".to_owned())
            }
            Err(_) => Failure::Later("the attempt panicked".to_owned()),
        };
        self.failed(&queued, failure).await
    }

    /// Waits until the emails in hand have to be put back.
    async fn shutdown_deadline(&self, mut stop: watch::Receiver<bool>) {
        // An error means that the sender is gone, which is a shutdown too.
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(self.at_the_end).await;
    }

    /// Puts the email back for a retry, or gives it up.
    async fn failed(&self, queued: &Queued, failure: Failure) -> Result<(), models::Error> {
        let now = self.clock.now();
        let unanswered = matches!(failure, Failure::Unanswered(_));
        match failure {
            Failure::Unanswered(error) if queued.was_unanswered_often() => {
                self.metrics.mail("unanswered");
                queued.remove(&self.database).await?;
                tracing::warn!(event = "mail_unanswered", id = %queued.id, attempts = queued.attempts, %error, "email counts as sent, though the server did not answer");
            }
            Failure::Later(error) | Failure::Unanswered(error) if !queued.is_stale(now) => {
                self.metrics.mail("delayed");
                queued
                    .put_back(&self.database, &error, unanswered, now)
                    .await?;
                tracing::warn!(event = "mail_delayed", id = %queued.id, attempts = queued.attempts, %error, "email not sent, will retry");
            }
            Failure::Later(error) | Failure::Unanswered(error) | Failure::Never(error) => {
                self.metrics.mail("given_up");
                queued.remove(&self.database).await?;
                tracing::error!(event = "mail_given_up", id = %queued.id, to = %masked(&queued.email), attempts = queued.attempts, %error, "email given up");
            }
        }
        Ok(())
    }

    async fn attempt(&self, queued: &Queued) -> Result<(), Failure> {
        let later = |error: models::Error| Failure::Later(error.with_causes());
        let mail = queued.mail().map_err(later)?;
        let now = self.clock.now();
        let purpose = purpose(&mail);
        let at = match &mail {
            Mail::ResetPassword => queued.created_at,
            Mail::Notice(notice) => notice.at,
        };
        // Stored before it is sent, so that the link works when the email arrives.
        let token = MailToken::issue(&self.database, &queued.user_id, &purpose, at, now)
            .await
            .map_err(later)?;
        let content = self
            .content(queued, mail, purpose.life(at, now), &token)
            .map_err(|error| Failure::Later(error.to_string()))?;
        let sent = self
            .mailer
            .send(&Email {
                id: queued.id.clone(),
                to: queued.email.clone(),
                subject: content.subject,
                text: content.text,
                html: content.html,
                written_at: now,
            })
            .await;
        let failure = match sent {
            Ok(()) => return Ok(()),
            // It may have arrived, so the link in it stays valid.
            Err(SendError::Unknown(error)) => return Err(Failure::Unanswered(error)),
            Err(SendError::Temporary(error)) => Failure::Later(error),
            Err(SendError::Permanent(error)) => Failure::Never(error),
        };
        MailToken::revoke(&self.database, &token)
            .await
            .map_err(later)?;
        Err(failure)
    }

    fn content(
        &self,
        queued: &Queued,
        mail: Mail,
        life: i64,
        token: &Token,
    ) -> Result<email::Content, askama::Error> {
        let username = queued.username.clone();
        let link = |page: &str| format!("{}{page}/{}", self.base_url, token.expose());
        match mail {
            Mail::ResetPassword => ResetPasswordEmail {
                username,
                link: link("reset_password"),
                minutes: life / 60,
            }
            .render(),
            Mail::Notice(notice) => {
                let hours = (life / 3600).max(1);
                NoticeEmail::new(username, &notice, link("not_me"), hours).render()
            }
        }
    }
}

/// The purpose of the link in an email.
fn purpose(mail: &Mail) -> Purpose {
    match mail {
        Mail::ResetPassword => Purpose::ResetPassword,
        Mail::Notice(notice) => Purpose::NotMe {
            event: notice.event,
            former_phone: notice.former_phone.clone(),
        },
    }
}

fn log_queue_failure(error: &models::Error) {
    let error = error.with_causes();
    tracing::error!(
        event = "mail_queue_failed",
        error,
        "could not use the email queue"
    );
}

fn is_stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// An address as logs show it: `h…@example.com`.
fn masked(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}…@{domain}")
}
