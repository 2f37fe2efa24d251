//! One connection a mail, and what is made of its answers.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{Email, Error, SendError, Settings};

/// How many times longer than any other step the server may take for the message.
const MESSAGE_PATIENCE: u32 = 12;

/// How long the server may take to say goodbye, once it has the mail.
const GOODBYE: Duration = Duration::from_secs(1);

/// When the connection becomes TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// From the first byte.
    Implicit,
    /// By STARTTLS, and nothing is sent without.
    StartTls,
    /// By STARTTLS where the server offers it: nobody listens on loopback.
    StartTlsIfOffered,
}

/// A mail server. There is no `Debug`: the credentials are in it.
#[derive(Clone)]
pub struct Smtp {
    host: String,
    port: u16,
    security: Security,
    tls: TlsParameters,
    credentials: Option<Credentials>,
    from: Mailbox,
    hello: ClientId,
    timeout: Duration,
}

impl Smtp {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        // lettre panics on such a name, with each mail.
        let name = settings.from.name.as_deref().unwrap_or_default();
        if name.contains(char::is_control) {
            return Err(Error::Sender);
        }
        let url = Url::parse(settings.url.expose_secret()).map_err(|_| Error::Url)?;
        let host = url.host_str().ok_or(Error::Url)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let security = match url.scheme() {
            "smtps" => Security::Implicit,
            "smtp" if is_loopback(host) => Security::StartTlsIfOffered,
            "smtp" => Security::StartTls,
            _ => return Err(Error::Url),
        };
        // The ports of submission (RFC 8314).
        let default_port = if security == Security::Implicit {
            465
        } else {
            587
        };
        let mut tls = TlsParametersBuilder::new(host.to_owned());
        for root in settings.roots {
            tls = tls.add_root_certificate(Certificate::from_der(root)?);
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| Error::Url)
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(
                decoded(user)?,
                decoded(password.unwrap_or_default())?,
            )),
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(default_port),
            security,
            tls: tls.build()?,
            credentials,
            hello: ClientId::Domain(ascii_domain(&settings.from.email)),
            from: settings.from,
            timeout: settings.timeout,
        })
    }

    pub(super) async fn send(&self, email: &Email) -> Result<(), SendError> {
        let to = recipient(&email.to)?;
        let bytes = message(email, &self.from, &to)?.formatted();

        let connection = &mut self.connect().await?;
        let sender = Mail::new(Some(self.from.email.clone()), Vec::new());
        self.step("MAIL FROM", connection.command(sender)).await?;
        let to = Rcpt::new(to, Vec::new());
        self.step("RCPT TO", connection.command(to))
            .await
            .map_err(permanent)?;
        self.step("DATA", connection.command(Data)).await?;
        // A server may look through the message before it takes it (RFC 5321,
        // 4.5.3.2.6): who gives up too soon sends it twice.
        let patience = MESSAGE_PATIENCE * self.timeout;
        self.step_within(patience, "the message", connection.message(&bytes))
            .await
            .map_err(|failure| match failure.code {
                None => SendError::Unknown(failure.text),
                Some(_) => permanent(failure),
            })?;
        // The server has it: whatever goes wrong from here on does not matter.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    /// A connection on which mail can be sent. What is refused here is refused
    /// to every mail: that is for whoever runs the program to mend, and the
    /// mail waits.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let tls = (self.security == Security::Implicit).then(|| self.tls.clone());
        let server = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None);
        let mut connection = self.step("connecting", connecting).await?;
        let start_tls = match self.security {
            Security::Implicit => false,
            Security::StartTls => true,
            Security::StartTlsIfOffered => connection.can_starttls(),
        };
        if start_tls {
            let securing = connection.starttls(self.tls.clone(), &self.hello);
            self.step("STARTTLS", securing).await?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step("AUTH", connection.auth(&mechanisms, credentials))
                .await?;
        }
        Ok(connection)
    }

    /// One step, in the time that it has. lettre itself waits for ever.
    async fn step<T>(
        &self,
        name: &str,
        step: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Failure> {
        self.step_within(self.timeout, name, step).await
    }

    async fn step_within<T>(
        &self,
        time: Duration,
        name: &str,
        step: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(time, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Failure::new(name, &error)),
            Err(_) => Err(Failure {
                text: format!("{name}: no answer in time"),
                code: None,
            }),
        }
    }
}

/// How a step failed.
struct Failure {
    text: String,
    /// The server's refusal, and whether it is for good.
    code: Option<(u16, bool)>,
}

impl Failure {
    fn new(step: &str, error: &SmtpError) -> Self {
        let code = error.status().map(u16::from);
        let text = match code {
            Some(code) => format!("{step}: the server answered {code}"),
            // lettre quotes the answer.
            None if error.is_response() => format!("{step}: the server's answer is not SMTP"),
            None => format!("{step}: {error}"),
        };
        Self {
            text,
            code: code.map(|code| (code, error.is_permanent())),
        }
    }
}

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        Self::Temporary(failure.text)
    }
}

/// A refusal of this recipient or this message, which may be for good.
fn permanent(failure: Failure) -> SendError {
    match failure.code {
        Some((_, true)) => SendError::Permanent(failure.text),
        _ => failure.into(),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
}

/// The domain as every mail server understands it, in Punycode where needed.
fn ascii_domain(address: &Address) -> String {
    match Host::parse(address.domain()) {
        Ok(Host::Domain(domain)) => domain,
        _ => address.domain().to_owned(),
    }
}

fn recipient(address: &str) -> Result<Address, SendError> {
    let unusable = |_| SendError::Permanent("the address cannot be used".to_owned());
    let address: Address = address.parse().map_err(unusable)?;
    Address::new(address.user(), ascii_domain(&address)).map_err(unusable)
}

fn message(email: &Email, from: &Mailbox, to: &Address) -> Result<Message, SendError> {
    let seconds = u64::try_from(email.written_at).unwrap_or_default();
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(&email.subject)
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!(
            "<{}@{}>",
            email.id,
            ascii_domain(&from.email)
        )))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(
            email.text.clone(),
            email.html.clone(),
        ))
        .map_err(|error| SendError::Permanent(format!("the mail cannot be written: {error}")))
}

/// Tells programs that answer mail, out of office for instance, not to answer
/// this one (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
