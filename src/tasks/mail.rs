//! Sends the queued emails, several at once, and queues the reset links that were requested.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::models::mail_token::{LinkPurpose, MailToken};
use crate::models::outbox::{Mail, Queued};
use crate::models::reset_request::{self, Resolved};
use crate::models::token::Token;
use crate::models::{self, Database, with_causes};
use crate::services::clock::Clock;
use crate::services::mailer::{Email, MailError, Mailer};
use crate::services::metrics::Metrics;
use crate::views::email::{self, NoticeEmail, ResetPasswordEmail};

/// How many emails an instance sends at once. Each has its own connection, so one slow
/// recipient doesn't delay all others.
pub const CONNECTIONS: usize = 4;

/// The longest pause between two looks at the queue: for retries, and for emails that another
/// instance queued or left behind.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How long all deliveries together may still take at shutdown. A mail server may take two
/// minutes, but a supervisor kills the program sooner.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// Wakes the worker. All clones wake the same one.
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
    pub database: Database,
    pub mailer: Mailer,
    /// The beginning of every link.
    pub base_url: Url,
    pub clock: Clock,
    pub metrics: Metrics,
    pub queue: MailQueue,
    /// [`INTERVAL`], except in tests.
    pub interval: Duration,
    /// [`SHUTDOWN_GRACE`], except in tests.
    pub shutdown_grace: Duration,
}

impl MailWorker {
    /// Works until `stop` is canceled. Then it finishes the deliveries, or puts their emails
    /// back after [`Self::shutdown_grace`].
    pub async fn run(self, stop: CancellationToken) {
        let mut deliveries = JoinSet::new();
        while !stop.is_cancelled() {
            self.start_due(&mut deliveries, &stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.queue.0.notified() => {}
                // While a connection is free, nothing more is due.
                Some(ended) = deliveries.join_next(), if deliveries.len() >= CONNECTIONS => {
                    log_panic(ended);
                }
                () = tokio::time::sleep(self.interval) => {}
            }
        }
        while let Some(ended) = deliveries.join_next().await {
            log_panic(ended);
        }
    }

    /// Resolves the requests for links and sends what is due now.
    pub async fn deliver_due(&self) {
        let stop = CancellationToken::new();
        let mut deliveries = JoinSet::new();
        loop {
            self.start_due(&mut deliveries, &stop).await;
            match deliveries.join_next().await {
                Some(ended) => log_panic(ended),
                None => return,
            }
        }
    }

    /// Starts deliveries until nothing more is due or all connections are in use.
    async fn start_due(&self, deliveries: &mut JoinSet<()>, stop: &CancellationToken) {
        while let Some(ended) = deliveries.try_join_next() {
            log_panic(ended);
        }
        while deliveries.len() < CONNECTIONS && !stop.is_cancelled() {
            match self.start_next(deliveries, stop).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return log_queue_failure(&error),
            }
        }
    }

    /// Resolves one request for a link and starts one delivery: neither a flood of requests
    /// nor one of emails delays the other. Returns whether it found any.
    async fn start_next(
        &self,
        deliveries: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<bool, models::Error> {
        let resolved = reset_request::resolve_next(&self.database, self.clock.now()).await?;
        let was_found = !matches!(resolved, Resolved::Nothing);
        // A decoy takes a connection, as the delivery does that it stands in for.
        if let Resolved::Decoy(decoy) = resolved {
            let database = self.database.clone();
            deliveries.spawn(async move {
                if let Err(error) = decoy.imitate_delivery(&database).await {
                    log_queue_failure(&error);
                }
            });
        }
        let Some(queued) = Queued::take(&self.database, self.clock.now()).await? else {
            return Ok(was_found);
        };
        let (worker, stop) = (self.clone(), stop.clone());
        deliveries.spawn(async move {
            if let Err(error) = worker.deliver(queued, stop).await {
                log_queue_failure(&error);
            }
        });
        Ok(true)
    }

    /// Sends an email, then removes it from the queue or puts it back.
    async fn deliver(&self, queued: Queued, stop: CancellationToken) -> Result<(), models::Error> {
        if queued
            .exceeds_limit(&self.database, self.clock.now())
            .await?
        {
            return queued.remove(&self.database).await;
        }
        if queued.is_stale(self.clock.now()) {
            let error = queued.last_error.as_deref().unwrap_or("no attempt");
            let error = MailError::Permanent(format!("not sent in time: {error}"));
            return self.settle_failure(&queued, error).await;
        }
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(self.shutdown_grace).await;
        };
        let sent = tokio::select! {
            sent = self.attempt(&queued) => sent,
            // The link stays valid, since the server may have the email.
            () = deadline => {
                Err(MailError::Transient("shut down before the mail server replied".to_owned()))
            }
        };
        if let Err(error) = sent {
            return self.settle_failure(&queued, error).await;
        }
        self.metrics.count_mail("sent");
        queued.remove(&self.database).await?;
        tracing::info!(event = "mail_sent", id = %queued.id, attempts = queued.attempts, "email sent");
        Ok(())
    }

    /// Puts the email back for a retry, or removes it.
    async fn settle_failure(&self, queued: &Queued, error: MailError) -> Result<(), models::Error> {
        let now = self.clock.now();
        let is_unanswered = matches!(error, MailError::Unanswered(_));
        if is_unanswered && queued.was_unanswered_often() {
            self.metrics.count_mail("unanswered");
            queued.remove(&self.database).await?;
            tracing::warn!(event = "mail_unanswered", id = %queued.id, attempts = queued.attempts, %error, "email counts as sent, though the server did not reply");
        } else if matches!(error, MailError::Permanent(_)) || queued.is_stale(now) {
            self.metrics.count_mail("given_up");
            queued.remove(&self.database).await?;
            tracing::error!(event = "mail_given_up", id = %queued.id, to = %masked(&queued.email), attempts = queued.attempts, %error, "email given up");
        } else {
            self.metrics.count_mail("delayed");
            let text = error.to_string();
            queued
                .put_back(&self.database, &text, is_unanswered, now)
                .await?;
            tracing::warn!(event = "mail_delayed", id = %queued.id, attempts = queued.attempts, %error, "email not sent, will retry");
        }
        Ok(())
    }

    async fn attempt(&self, queued: &Queued) -> Result<(), MailError> {
        let transient = |error: models::Error| MailError::Transient(with_causes(&error));
        let mail = queued.mail().map_err(transient)?;
        let now = self.clock.now();
        let purpose = purpose(&mail);
        let at = match &mail {
            Mail::ResetPassword => queued.created_at,
            Mail::Notice(notice) => notice.at,
        };
        // Stored before it is sent, so that the link works when the email arrives.
        let token = MailToken::issue(&self.database, &queued.user_id, &purpose, at, now)
            .await
            .map_err(transient)?;
        let content = self
            .content(queued, mail, purpose.life(at, now), &token)
            .map_err(|error| MailError::Transient(error.to_string()))?;
        let email = Email {
            id: queued.id.clone(),
            to: queued.email.clone(),
            subject: content.subject,
            text: content.text,
            html: content.html,
            written_at: now,
        };
        let sent = self.mailer.send(&email).await;
        if let Err(MailError::Transient(_) | MailError::Permanent(_)) = sent {
            let revoked = MailToken::revoke(&self.database, &token).await;
            revoked.map_err(transient)?;
        }
        sent
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
fn purpose(mail: &Mail) -> LinkPurpose {
    match mail {
        Mail::ResetPassword => LinkPurpose::ResetPassword,
        Mail::Notice(notice) => LinkPurpose::NotMe {
            event: notice.event,
        },
    }
}

fn log_queue_failure(error: &models::Error) {
    let error = with_causes(&error);
    tracing::error!(
        event = "mail_queue_failed",
        error,
        "could not use the email queue"
    );
}

/// Logs a delivery that panicked. Its email is sent again once its lease expires.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(event = "mail_queue_failed", %error, "a delivery panicked");
    }
}

/// An address as logs show it: `h…@example.com`.
fn masked(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}…@{domain}")
}
