//! Sends each email on a new SMTP connection.
//!
//! lettre's transport does not tell which command failed, so this module issues the commands.
//! A refused login must not drop emails, and an email without a reply may have been sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, Tls, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{Email, Error, MailError, Settings};

/// How many times longer than the other commands the message may take: servers scan it before
/// they reply (RFC 5321, 4.5.3.2.6), and a retry would send a duplicate.
const MESSAGE_FACTOR: u32 = 12;

/// The timeout of `QUIT`. Its outcome does not matter.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The most addresses of a server that are tried, so that a delivery ends before its lease.
const MAX_ADDRESSES: usize = 4;

/// A mail server. It holds credentials, so it has no `Debug`.
#[derive(Clone)]
pub struct Smtp {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    tls: Tls,
    credentials: Option<Credentials>,
    client_id: ClientId,
    from: Mailbox,
    timeout: Duration,
}

impl Smtp {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        // lettre panics on control characters in the name when it writes an email.
        let Mailbox { name, email } = settings.from;
        if name.iter().any(|name| name.contains(char::is_control)) {
            return Err(Error::Sender);
        }
        let url = Url::parse(settings.url.expose_secret()).map_err(|_| Error::Url)?;
        let host = url.host_str().ok_or(Error::Url)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut tls = TlsParametersBuilder::new(host.to_owned());
        for root in settings.roots {
            tls = tls.add_root_certificate(Certificate::from_der(root)?);
        }
        let tls = tls.build()?;
        // The ports of submission (RFC 8314).
        let (tls, default_port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls), 465),
            "smtp" if is_loopback(host) => (Tls::Opportunistic(tls), 587),
            "smtp" => (Tls::Required(tls), 587),
            _ => return Err(Error::Url),
        };
        let email = to_ascii(email);
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(default_port),
            addresses: settings.addresses,
            tls,
            credentials: credentials(&url)?,
            client_id: ClientId::Domain(email.domain().to_owned()),
            from: Mailbox::new(name, email),
            timeout: settings.timeout,
        })
    }

    pub(super) async fn send(&self, email: &Email) -> Result<(), MailError> {
        let to = email.to.parse().map(to_ascii);
        let to = to.map_err(|_| MailError::Permanent("invalid address".to_owned()))?;
        let bytes = self.message(email, &to)?.formatted();

        let mut connection = self.connect().await?;
        let mail = Mail::new(Some(self.from.email.clone()), Vec::new());
        self.step("MAIL FROM", connection.command(mail)).await?;
        let rcpt = connection.command(Rcpt::new(to, Vec::new()));
        with_timeout(self.timeout, "RCPT TO", rcpt)
            .await
            .map_err(|error| match error {
                MailError::Permanent(_) => error,
                _ => into_transient(error),
            })?;
        self.step("DATA", connection.command(Data)).await?;
        let timeout = MESSAGE_FACTOR * self.timeout;
        with_timeout(timeout, "the message", connection.message(&bytes)).await?;
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }

    /// Connects, starts TLS and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let mut connection = self.connect_to_any_address().await?;
        let start_tls = match &self.tls {
            Tls::Required(tls) => Some(tls),
            Tls::Opportunistic(tls) if connection.can_starttls() => Some(tls),
            _ => None,
        };
        if let Some(tls) = start_tls {
            let upgrade = connection.starttls(tls.clone(), &self.client_id);
            self.step("STARTTLS", upgrade).await?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step("AUTH", connection.auth(&mechanisms, credentials))
                .await?;
        }
        Ok(connection)
    }

    /// Tries the server's addresses in turn, each with the whole timeout: a server may delay its
    /// greeting on every address. One that drops all packets doesn't starve the others.
    async fn connect_to_any_address(&self) -> Result<AsyncSmtpConnection, MailError> {
        let addresses = self.resolve().await?;
        let mut error = MailError::Transient("connecting: the host has no address".to_owned());
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            let tls = match &self.tls {
                Tls::Wrapper(tls) => Some(tls.clone()),
                _ => None,
            };
            let connect =
                AsyncSmtpConnection::connect_tokio1(address, None, &self.client_id, tls, None);
            match with_timeout(self.timeout, "connecting", connect).await {
                Ok(connection) => return Ok(connection),
                Err(failed) => error = failed,
            }
        }
        Err(into_transient(error))
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, MailError> {
        if !self.addresses.is_empty() {
            return Ok(self.addresses.clone());
        }
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = tokio::time::timeout(self.timeout, lookup).await;
        match found.map_err(io::Error::from).flatten() {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(MailError::Transient(format!("resolving the host: {error}"))),
        }
    }

    /// Runs a command that concerns every email, such as the login. The operator can fix what
    /// the server refuses there, so the email waits.
    async fn step<T>(
        &self,
        name: &str,
        command: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, MailError> {
        let done = with_timeout(self.timeout, name, command).await;
        done.map_err(into_transient)
    }

    fn message(&self, email: &Email, to: &Address) -> Result<Message, MailError> {
        let seconds = u64::try_from(email.written_at).unwrap_or_default();
        // Tells autoresponders not to reply (RFC 3834).
        let auto_submitted = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(&email.subject)
            .date(UNIX_EPOCH + Duration::from_secs(seconds))
            .message_id(Some(format!("<{}@{}>", email.id, self.from.email.domain())))
            .raw_header(HeaderValue::new(
                auto_submitted,
                "auto-generated".to_owned(),
            ))
            .multipart(MultiPart::alternative_plain_html(
                email.text.clone(),
                email.html.clone(),
            ))
            .map_err(|error| MailError::Permanent(format!("the email is invalid: {error}")))
    }
}

/// Runs a command with a timeout, since lettre would wait without limit.
async fn with_timeout<T>(
    timeout: Duration,
    name: &str,
    command: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, MailError> {
    let Ok(done) = tokio::time::timeout(timeout, command).await else {
        return Err(MailError::Unanswered(format!("{name}: timed out")));
    };
    done.map_err(|error| match error.status().map(u16::from) {
        Some(code) if error.is_permanent() => {
            MailError::Permanent(format!("{name}: the server replied {code}"))
        }
        Some(code) => MailError::Transient(format!("{name}: the server replied {code}")),
        // lettre would quote the reply.
        None if error.is_response() => {
            MailError::Unanswered(format!("{name}: the server's reply is not SMTP"))
        }
        None => MailError::Unanswered(format!("{name}: {error}")),
    })
}

fn into_transient(error: MailError) -> MailError {
    let (MailError::Transient(text) | MailError::Unanswered(text) | MailError::Permanent(text)) =
        error;
    MailError::Transient(text)
}

fn credentials(url: &Url) -> Result<Option<Credentials>, Error> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| Error::Url)
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, password) => {
            let password = decode(password.unwrap_or_default())?;
            Ok(Some(Credentials::new(decode(user)?, password)))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
}

/// The address with its domain in Punycode, which every server understands.
fn to_ascii(address: Address) -> Address {
    match Host::parse(address.domain()) {
        Ok(Host::Domain(domain)) => Address::new(address.user(), domain).unwrap_or(address),
        _ => address,
    }
}
