//! Sends the queued mail, one after the other, and queues the links to a new
//! password that were asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use url::Url;

use crate::models::mail_token::{MailToken, Purpose};
use crate::models::outbox::{Mail, Queued};
use crate::models::token::Token;
use crate::models::{self, Database, reset_request};
use crate::services::clock::Clock;
use crate::services::mailer::{Email, Mailer, SendError};
use crate::services::metrics::Metrics;
use crate::views::email::{self, NoticeEmail, ResetPasswordEmail};

/// How often the queue is looked at unasked: for what is to be tried again, and
/// for what another instance has queued or left behind.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How long the mail in hand may still take at the end of the program. A mail server may
/// take two minutes, and whoever supervises the program does not wait for so long.
pub const AT_THE_END: Duration = Duration::from_secs(20);

/// How requests tell the worker that they have queued mail. Clones are the same.
#[derive(Clone, Default)]
pub struct MailQueue(Arc<Notify>);

impl MailQueue {
    /// Has the queue looked at soon. To be called once what was queued is
    /// committed.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Takes mail off the queue and sends it. Any number of them may share a queue.
#[derive(Clone)]
pub struct MailWorker {
    /// Where the queue is.
    pub database: Database,
    /// Who takes the mail.
    pub mailer: Mailer,
    /// What every link begins with.
    pub base_url: Url,
    /// The time.
    pub clock: Clock,
    /// Where it counts what it sends.
    pub metrics: Metrics,
    /// Who wakes the worker.
    pub queue: MailQueue,
    /// How often it looks at the queue unasked.
    pub interval: Duration,
    /// How long the mail in hand may take once it is to stop.
    pub at_the_end: Duration,
}

/// Why a mail that was taken did not go out.
enum Failure {
    /// Another time it may go.
    Later(String),
    /// It may have gone.
    Unanswered(String),
    /// It never will.
    Never(String),
}

impl MailWorker {
    /// Works until `stop` is true or its sender is gone; the mail in hand is
    /// finished, or put back where that takes too long. Nothing else ends it.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !stopped(&stop) {
            self.deliver_due_until(&stop).await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = self.queue.0.notified() => {}
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    /// Finds out whose mail was asked for, and sends what is due now.
    pub async fn deliver_due(&self) {
        let (_never, stop) = watch::channel(false);
        self.deliver_due_until(&stop).await;
    }

    async fn deliver_due_until(&self, stop: &watch::Receiver<bool>) {
        while !stopped(stop) {
            match self.next(stop).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(event = "mail_queue_failed", error = %error.with_causes(), "the mail queue cannot be used");
                    return;
                }
            }
        }
    }

    /// One request for a link and one mail, in turn, so that a flood of the ones
    /// holds up the others little. Returns whether there was anything to do.
    async fn next(&self, stop: &watch::Receiver<bool>) -> Result<bool, models::Error> {
        let resolved = reset_request::resolve_next(&self.database, self.clock.now()).await?;
        Ok(self.deliver_next(stop).await? || resolved)
    }

    /// Sends the mail that is due first. Returns whether there was one.
    async fn deliver_next(&self, stop: &watch::Receiver<bool>) -> Result<bool, models::Error> {
        let taken = Queued::take(&self.database, self.clock.now()).await?;
        let Some(queued) = taken else {
            return Ok(false);
        };
        // A task of its own: a panic in it is one more way to fail.
        let (worker, mail) = (self.clone(), queued.clone());
        let mut attempt = tokio::spawn(async move { worker.attempt(&mail).await });
        let ended = tokio::select! {
            ended = &mut attempt => ended,
            () = self.too_late(stop.clone()) => {
                attempt.abort();
                attempt.await
            }
        };
        let failure = match ended {
            Ok(Ok(())) => {
                self.metrics.mail("sent");
                queued.remove(&self.database).await?;
                tracing::info!(event = "mail_sent", id = %queued.id, attempts = queued.attempts, "mail was sent");
                return Ok(true);
            }
            Ok(Err(failure)) => failure,
            // Its link stays good, since the server may have the mail.
            Err(error) if error.is_cancelled() => {
                Failure::Later("the program ended before the mail server answered".to_owned())
            }
            Err(_) => Failure::Later("the attempt panicked".to_owned()),
        };
        self.failed(&queued, failure).await?;
        Ok(true)
    }

    /// Waits until the mail in hand has to be let go.
    async fn too_late(&self, mut stop: watch::Receiver<bool>) {
        // Without a sender it is over, too.
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(self.at_the_end).await;
    }

    /// Puts the mail back for another attempt, or forgets it.
    async fn failed(&self, queued: &Queued, failure: Failure) -> Result<(), models::Error> {
        let now = self.clock.now();
        let unanswered = matches!(failure, Failure::Unanswered(_));
        match failure {
            Failure::Unanswered(error) if queued.was_unanswered_often() => {
                self.metrics.mail("unanswered");
                queued.remove(&self.database).await?;
                tracing::warn!(event = "mail_unanswered", id = %queued.id, attempts = queued.attempts, %error, "mail is taken as sent, though the server does not say so");
            }
            Failure::Later(error) | Failure::Unanswered(error) if !queued.is_stale(now) => {
                self.metrics.mail("delayed");
                queued
                    .put_back(&self.database, &error, unanswered, now)
                    .await?;
                tracing::warn!(event = "mail_delayed", id = %queued.id, attempts = queued.attempts, %error, "mail was not sent, and is tried again");
            }
            Failure::Later(error) | Failure::Unanswered(error) | Failure::Never(error) => {
                self.metrics.mail("given_up");
                queued.remove(&self.database).await?;
                tracing::error!(event = "mail_given_up", id = %queued.id, to = %masked(&queued.email), attempts = queued.attempts, %error, "mail was given up");
            }
        }
        Ok(())
    }

    async fn attempt(&self, queued: &Queued) -> Result<(), Failure> {
        let later = |error: models::Error| Failure::Later(error.with_causes());
        let mail = queued.mail().map_err(later)?;
        let now = self.clock.now();
        let purpose = purpose(&mail);
        // The link works before anybody can have it.
        let token = MailToken::issue(&self.database, &queued.user_id, &purpose, now)
            .await
            .map_err(later)?;
        let content = self
            .content(queued, mail, &purpose, &token)
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
            // It may have arrived: the link in it stays good.
            Err(SendError::Unknown(error)) => return Err(Failure::Unanswered(error)),
            Err(SendError::Temporary(error)) => Failure::Later(error),
            Err(SendError::Permanent(error)) => Failure::Never(error),
        };
        MailToken::take_back(&self.database, &token)
            .await
            .map_err(later)?;
        Err(failure)
    }

    fn content(
        &self,
        queued: &Queued,
        mail: Mail,
        purpose: &Purpose,
        token: &Token,
    ) -> Result<email::Content, askama::Error> {
        let username = queued.username.clone();
        let link = |page: &str| format!("{}{page}/{}", self.base_url, token.expose());
        let life = purpose.life();
        match mail {
            Mail::ResetPassword => ResetPasswordEmail {
                username,
                link: link("reset_password"),
                minutes: life / 60,
            }
            .render(),
            Mail::Notice(notice) => {
                NoticeEmail::new(username, &notice, link("not_me"), life / 3600).render()
            }
        }
    }
}

/// What the link in a mail is for.
fn purpose(mail: &Mail) -> Purpose {
    match mail {
        Mail::ResetPassword => Purpose::ResetPassword,
        Mail::Notice(notice) => Purpose::NotMe {
            event: notice.event,
            former_phone: notice.former_phone.clone(),
        },
    }
}

fn stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// An address as logs show it: `h…@example.com`.
fn masked(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}…@{domain}")
}
