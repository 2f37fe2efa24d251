//! Mail over SMTP, or into the demo mailbox.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use secrecy::SecretString;

use crate::dev::mailbox::{self, DemoMailbox};

mod smtp;

pub use smtp::Smtp;

/// How long each step of the way to the server may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Who takes the mail.
#[derive(Clone)]
pub enum Mailer {
    /// A mail server.
    Smtp(Box<Smtp>),
    /// The demo mailbox.
    Demo(DemoMailbox),
}

/// One mail, ready to be sent.
#[derive(Debug, Clone)]
pub struct Email {
    /// What names it: the same on each attempt, so that a mail which arrives
    /// twice can be told for one.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The mail as plain text.
    pub text: String,
    /// The mail as a page.
    pub html: String,
    /// When it was written, in Unix seconds.
    pub written_at: i64,
}

/// Why a mail did not go out. The texts hold nothing that the server said
/// beyond its codes: it could repeat a password or an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Another time it may go.
    #[error("{0}")]
    Temporary(String),
    /// The server had all of it, and its answer did not come: it may have gone.
    #[error("{0}")]
    Unknown(String),
    /// It will never go.
    #[error("{0}")]
    Permanent(String),
}

/// Where the mail server is, and who sends.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `smtp://` or `smtps://`, with user and password if it wants them.
    pub url: SecretString,
    /// The sender.
    pub from: Mailbox,
    /// How long each step may take.
    pub timeout: Duration,
    /// Certificates (DER) that are trusted besides the system's.
    pub roots: Vec<Vec<u8>>,
}

/// Why there can be no mailer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of a mail server.
    #[error("not the URL of a mail server")]
    Url,
    /// The sender's name would break a header.
    #[error("the sender's name holds control characters")]
    Sender,
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(#[from] SmtpError),
}

impl Mailer {
    /// A mailer for a mail server, to which a connection is made for each mail.
    ///
    /// # Errors
    /// When URL or sender cannot be used, or TLS cannot be set up.
    pub fn smtp(settings: Settings) -> Result<Self, Error> {
        Ok(Self::Smtp(Box::new(Smtp::new(settings)?)))
    }

    /// Sends a mail.
    pub async fn send(&self, email: &Email) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => smtp.send(email).await,
            Self::Demo(mailbox) => {
                mailbox.receive(mailbox::Message {
                    id: email.id.clone(),
                    to: email.to.clone(),
                    subject: email.subject.clone(),
                    text: email.text.clone(),
                    html: email.html.clone(),
                    received_at: email.written_at,
                });
                Ok(())
            }
        }
    }
}
