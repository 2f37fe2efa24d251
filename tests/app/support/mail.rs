//! The emails of an app: the queue and the demo mailbox.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::Row;
use twostep::models::outbox::{self, Notice, NoticeKind};
use twostep::services::mailer::Email as Mail;
use twostep::tasks::mail::INTERVAL;
use url::Url;

use super::{NOW, PATIENCE, TestApp, keep};

/// The path of the link in an email.
pub fn link(mail: &Mail) -> String {
    let link = mail.link().expect("no link in the email");
    Url::parse(link).unwrap().path().to_owned()
}

impl TestApp {
    /// Puts an email into the demo mailbox.
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

    /// The next email in the demo mailbox. The wait is shorter than the worker's interval, so
    /// it fails if nothing wakes the worker.
    pub async fn next_mail(&self) -> Mail {
        let mailbox = self.state.demo_mailbox.as_ref().unwrap();
        let read = self.mail_read.fetch_add(1, Ordering::SeqCst);
        let deadline = Instant::now() + INTERVAL * 2 / 3;
        loop {
            let mails = mailbox.emails();
            if let Some(newer) = mails.len().checked_sub(read + 1) {
                keep(&mails[newer].html);
                return mails[newer].clone();
            }
            assert!(Instant::now() < deadline, "no email came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The emails to an address, newest first. It waits until the queue is empty.
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

    /// The queued emails of an account and when they are due, oldest first. Most tests log in
    /// with many browsers, so the notices about new devices are left out: see
    /// [`TestApp::all_mails`].
    pub async fn mails(&self, username: &str) -> Vec<(outbox::Mail, i64)> {
        let mut mails = self.all_mails(username).await;
        mails.retain(|(mail, _)| match mail {
            outbox::Mail::Notice(notice) => notice.event != NoticeKind::NewDevice,
            outbox::Mail::ResetPassword => true,
        });
        mails
    }

    /// The same with the notices about new devices.
    pub async fn all_mails(&self, username: &str) -> Vec<(outbox::Mail, i64)> {
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

    /// The queued notices of an account.
    pub async fn notices(&self, username: &str) -> Vec<Notice> {
        let mails = self.mails(username).await.into_iter();
        mails
            .filter_map(|(mail, _)| match mail {
                outbox::Mail::Notice(notice) => Some(notice),
                outbox::Mail::ResetPassword => None,
            })
            .collect()
    }

    /// Empties the queue, as if all emails had been sent. It waits for the worker's deliveries.
    pub async fn empty_outbox(&self) {
        self.state.mail.wake();
        self.mail_settles().await;
        self.execute("DELETE FROM outbox").await;
    }

    /// Waits until every reset request is resolved.
    pub async fn requests_settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.count("SELECT COUNT(*) FROM reset_requests").await > 0 {
            assert!(
                Instant::now() < deadline,
                "a reset request stays unresolved"
            );
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no email is due or being sent.
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
            assert!(Instant::now() < deadline, "an email stays due");
            self.state.mail.wake();
            tokio::task::yield_now().await;
        }
    }
}
