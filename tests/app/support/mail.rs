//! The mail of an app: what waits, and what the demo mailbox received.

use std::sync::atomic::Ordering;
use std::time::Instant;

use sqlx::Row;
use twostep::models::outbox::{self, Notice};
use twostep::services::mailer::Email as Mail;
use twostep::tasks::mail::INTERVAL;
use url::Url;

use super::{NOW, PATIENCE, TestApp, keep};

/// Where the link in a mail leads on this site.
pub fn link(mail: &Mail) -> String {
    let link = mail.link().expect("no link in the mail");
    Url::parse(link).unwrap().path().to_owned()
}

impl TestApp {
    /// Puts a mail into the demo mailbox that nobody sent.
    pub fn receive_mail(&self, id: &str, to: &str) {
        let mailbox = self.state.demo_mailbox.as_ref().unwrap();
        self.mail_read.fetch_add(1, Ordering::SeqCst);
        mailbox.receive(Mail {
            id: id.to_owned(),
            to: to.to_owned(),
            subject: "<b>Hello</b>".to_owned(),
            text: "<b>Hello</b>\n\nhttp://localhost:3000/home?a=\"&b\n".to_owned(),
            html: "<!doctype html><title>Hello</title><p style=\"color: red\">Hello".to_owned(),
            written_at: NOW,
        });
    }

    /// The mail that the demo mailbox received after the one returned last.
    /// Waits for it, for less time than the worker takes to look unasked.
    pub async fn next_mail(&self) -> Mail {
        let mailbox = self.state.demo_mailbox.as_ref().unwrap();
        let read = self.mail_read.fetch_add(1, Ordering::SeqCst);
        let arrival = mailbox.wait_for(read + 1);
        tokio::time::timeout(INTERVAL * 2 / 3, arrival)
            .await
            .expect("no mail came");
        let mails = mailbox.emails();
        let mail = mails[mailbox.received() - read - 1].clone();
        keep(&mail.html);
        mail
    }

    /// All mail that the demo mailbox received for an address, newest first, once
    /// everything that is queued now was sent.
    pub async fn mail_to(&self, address: &str) -> Vec<Mail> {
        self.requests_settle().await;
        let sent = async {
            while self.count("SELECT COUNT(*) FROM outbox").await > 0 {
                self.state.mail.wake();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, sent)
            .await
            .expect("the queue is stuck");
        let mails = self.state.demo_mailbox.as_ref().unwrap().emails();
        mails
            .into_iter()
            .filter(|mail| mail.to == address)
            .collect()
    }

    /// What is queued for an account and when it is due, oldest first.
    pub async fn mails(&self, username: &str) -> Vec<(outbox::Mail, i64)> {
        self.requests_settle().await;
        let rows = sqlx::query(
            "SELECT mail, next_attempt_at FROM outbox JOIN users ON users.id = user_id \
             WHERE username_key = $1 ORDER BY outbox.created_at, next_attempt_at",
        )
        .bind(username)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mail = |row: sqlx::any::AnyRow| {
            let mail: String = row.get(0);
            (serde_json::from_str(&mail).unwrap(), row.get(1))
        };
        rows.into_iter().map(mail).collect()
    }

    /// The notices among it.
    pub async fn notices(&self, username: &str) -> Vec<Notice> {
        let mails = self.mails(username).await.into_iter();
        mails
            .filter_map(|(mail, _)| match mail {
                outbox::Mail::Notice(notice) => Some(notice),
                outbox::Mail::ResetPassword => None,
            })
            .collect()
    }

    /// Forgets all mail, as if it had been sent: not while the worker has one in
    /// hand, and with it a link's token in the database.
    pub async fn empty_outbox(&self) {
        self.state.mail.wake();
        self.mail_settles().await;
        self.execute("DELETE FROM outbox").await;
    }

    /// Waits until it is known whose every link to a new password is that was
    /// asked for.
    pub async fn requests_settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.count("SELECT COUNT(*) FROM reset_requests").await > 0 {
            assert!(Instant::now() < deadline, "nobody resolves a request");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no mail is due or in hand.
    pub async fn mail_settles(&self) {
        self.requests_settle().await;
        let busy = "SELECT COUNT(*) FROM outbox WHERE next_attempt_at <= $1 \
                    OR (attempts > 0 AND last_error IS NULL)";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let busy: i64 = sqlx::query_scalar(busy)
                .bind(self.state.clock.now())
                .fetch_one(&self.pool)
                .await
                .unwrap();
            if busy == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "mail stays in hand");
            tokio::task::yield_now().await;
        }
    }
}
