//! The demo mailbox: keeps in memory what would be mailed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub mod pages;

/// How many mails are kept.
const MESSAGES: usize = 50;

/// A mailbox that receives everybody's mail. Clones are the same mailbox.
#[derive(Clone)]
pub struct DemoMailbox(Arc<Inner>);

struct Inner {
    messages: Mutex<VecDeque<Message>>,
    received: watch::Sender<usize>,
}

/// A mail that the mailbox received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What names it.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The mail as plain text.
    pub text: String,
    /// The mail as a page.
    pub html: String,
    /// Unix seconds.
    pub received_at: i64,
}

impl Message {
    /// The link that the mail carries: its text's first word that is one.
    pub fn link(&self) -> Option<&str> {
        let is_link = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
        self.text.split_whitespace().find(is_link)
    }
}

impl Default for DemoMailbox {
    fn default() -> Self {
        Self(Arc::new(Inner {
            messages: Mutex::default(),
            received: watch::Sender::new(0),
        }))
    }
}

impl DemoMailbox {
    /// Takes a mail, and says so in the log: this is the mailbox's screen.
    pub fn receive(&self, message: Message) {
        let (to, subject) = (&message.to, &message.subject);
        let link = message.link().unwrap_or_default();
        tracing::info!("demo mailbox: to {to}: {subject} {link}");
        {
            let mut messages = self.lock();
            messages.push_front(message);
            messages.truncate(MESSAGES);
        }
        self.0.received.send_modify(|received| *received += 1);
    }

    /// The last 50 mails, newest first.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().iter().cloned().collect()
    }

    /// One of them.
    pub fn message(&self, id: &str) -> Option<Message> {
        self.lock().iter().find(|message| message.id == id).cloned()
    }

    /// How many mails were received so far, those that are gone included.
    pub fn received(&self) -> usize {
        *self.0.received.borrow()
    }

    /// Waits until so many mails were received.
    pub async fn wait_for(&self, count: usize) {
        let mut received = self.0.received.subscribe();
        // The sender lives as long as this mailbox.
        let _ = received.wait_for(|received| *received >= count).await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.0
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
