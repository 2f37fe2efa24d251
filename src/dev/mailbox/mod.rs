//! The demo mailbox keeps emails in memory instead of sending them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::services::mailer::email::Email;

pub mod pages;

/// The number of emails that are kept.
const KEPT: usize = 50;

/// A mailbox that receives the emails to every address. All clones share it.
#[derive(Clone)]
pub struct DemoMailbox(Arc<Inner>);

struct Inner {
    emails: Mutex<VecDeque<Email>>,
    received: watch::Sender<usize>,
}

impl Default for DemoMailbox {
    fn default() -> Self {
        Self(Arc::new(Inner {
            emails: Mutex::default(),
            received: watch::Sender::new(0),
        }))
    }
}

impl DemoMailbox {
    /// Receives an email and logs its link: the log is a screen of the demo.
    pub fn receive(&self, email: Email) {
        let (to, subject) = (&email.to, &email.subject);
        let link = email.link().unwrap_or_default();
        tracing::info!("demo mailbox: to {to}: {subject} {link}");
        {
            let mut emails = self.lock();
            emails.push_front(email);
            emails.truncate(KEPT);
        }
        self.0.received.send_modify(|received| *received += 1);
    }

    /// The last 50 emails, newest first.
    pub fn emails(&self) -> Vec<Email> {
        self.lock().iter().cloned().collect()
    }

    /// The email with this id, if it is kept.
    pub fn find(&self, id: &str) -> Option<Email> {
        self.lock().iter().find(|email| email.id == id).cloned()
    }

    /// The number of emails received so far.
    pub fn received(&self) -> usize {
        *self.0.received.borrow()
    }

    /// Waits until this number of emails was received.
    pub async fn wait_for(&self, count: usize) {
        let mut received = self.0.received.subscribe();
        // It cannot fail: the sender lives as long as this mailbox.
        let _ = received.wait_for(|received| *received >= count).await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Email>> {
        let emails = self.0.emails.lock();
        emails.unwrap_or_else(PoisonError::into_inner)
    }
}
