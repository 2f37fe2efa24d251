//! Sends emails: over SMTP, or into the demo mailbox.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use secrecy::SecretString;

use crate::dev::mailbox::DemoMailbox;

pub mod email;
mod smtp;

pub use email::Email;
pub use smtp::Smtp;

/// The default timeout of each SMTP command.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Delivers emails.
#[derive(Clone)]
pub enum Mailer {
    Smtp(Box<Smtp>),
    Demo(DemoMailbox),
}

/// Why an email was not sent. The texts quote only the server's reply codes, since its text
/// could repeat a password or an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// A retry may succeed.
    #[error("{0}")]
    Transient(String),
    /// The server got the whole email but did not reply, so the email may have been sent.
    #[error("{0}")]
    Unanswered(String),
    /// A retry cannot succeed.
    #[error("{0}")]
    Permanent(String),
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// `smtp://` or `smtps://`, with credentials if the server requires them.
    pub url: SecretString,
    pub from: Mailbox,
    /// The timeout of each SMTP command.
    pub timeout: Duration,
    /// Additional trusted certificates (DER).
    pub roots: Vec<Vec<u8>>,
    /// The server's addresses, if DNS is not asked for them.
    pub addresses: Vec<SocketAddr>,
}

/// Why there is no mailer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not the URL of a mail server")]
    Url,
    /// The sender's name would break a header.
    #[error("the sender's name holds control characters")]
    Sender,
    #[error("{0}")]
    Tls(#[from] SmtpError),
}

impl Mailer {
    /// A mailer that opens a connection to a mail server for each email.
    pub fn smtp(settings: Settings) -> Result<Self, Error> {
        Ok(Self::Smtp(Box::new(Smtp::new(settings)?)))
    }

    pub async fn send(&self, email: &Email) -> Result<(), MailError> {
        match self {
            Self::Smtp(smtp) => smtp.send(email).await,
            Self::Demo(mailbox) => {
                mailbox.receive(email.clone());
                Ok(())
            }
        }
    }
}
