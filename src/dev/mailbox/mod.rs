//! The demo mailbox keeps emails in memory instead of sending them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::services::mailer::email::Email;

pub mod pages;

/// The number of emails that are kept.
const KEPT: usize = 50;

/// A mailbox that receives the emails to every address. All clones share it.
#[derive(Clone, Default)]
pub struct DemoMailbox(Arc<Mutex<VecDeque<Email>>>);

impl DemoMailbox {
    /// Receives an email and logs its link: the log is a screen of the demo.
    pub fn receive(&self, email: Email) {
        let (to, subject) = (&email.to, &email.subject);
        let link = email.link().unwrap_or_default();
        tracing::info!("demo mailbox: to {to}: {subject} {link}");
        let mut emails = self.lock();
        emails.push_front(email);
        emails.truncate(KEPT);
    }

    /// The last 50 emails, newest first.
    pub fn emails(&self) -> Vec<Email> {
        self.lock().iter().cloned().collect()
    }

    /// The email with this id, if it is kept.
    pub fn find(&self, id: &str) -> Option<Email> {
        self.lock().iter().find(|email| email.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Email>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
