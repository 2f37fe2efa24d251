//! A mail server in the test's process. It misbehaves on request.

use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The server's use of TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Never,
    Offered,
    Implicit,
}

impl Tls {
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Implicit => "smtps",
            Self::Never | Self::Offered => "smtp",
        }
    }
}

/// A replacement for the usual reply.
#[derive(Clone, Debug)]
pub enum Fault {
    Say(String),
    Silence,
    HangUp,
}

/// A complete email with the commands before it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub hello: String,
    pub login: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub data: String,
    pub encrypted: bool,
}

impl Received {
    /// The values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let (head, _) = self.data.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// Both parts of the body, decoded from quoted-printable.
    pub fn body(&self) -> String {
        let (_, body) = self.data.split_once("\r\n\r\n").unwrap();
        let body = body.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = body.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let code = (*byte == b'=' && after.len() >= 2)
                .then(|| std::str::from_utf8(&after[..2]).ok())
                .flatten()
                .and_then(|code| u8::from_str_radix(code, 16).ok());
            if code.is_some() {
                rest = &after[2..];
            }
            bytes.push(code.unwrap_or(*byte));
        }
        String::from_utf8(bytes).unwrap()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    commands: Vec<String>,
    fault: Option<(&'static str, Fault)>,
}

/// The server. It stops with the test.
#[derive(Clone)]
pub struct SmtpServer {
    pub port: u16,
    /// In DER.
    pub certificate: Vec<u8>,
    state: Arc<Mutex<State>>,
}

impl SmtpServer {
    pub async fn start(tls: Tls) -> Self {
        Self::with_certificate(tls, "127.0.0.1", 4000).await
    }

    /// A server with a certificate for `name` that is valid until the end of `year`.
    pub async fn with_certificate(tls: Tls, name: &str, year: i32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            certificate: certificate.der().to_vec(),
            state: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (accepting.clone(), acceptor.clone());
                tokio::spawn(async move { server.serve(stream, tls, acceptor).await });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on, the fault replaces one reply: to `CONNECT`, to a verb, within the message
    /// (`BODY`) or at its end (`.`).
    pub fn misbehave(&self, at: &'static str, fault: Fault) {
        self.state.lock().unwrap().fault = Some((at, fault));
    }

    pub fn behave(&self) {
        self.state.lock().unwrap().fault = None;
    }

    /// From now on, this is the reply to a command.
    pub fn refuse(&self, at: &'static str, reply: &str) {
        self.misbehave(at, Fault::Say(reply.to_owned()));
    }

    /// The complete emails, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// The verbs of all commands so far.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    pub fn times_heard(&self, verb: &str) -> usize {
        self.commands().iter().filter(|it| *it == verb).count()
    }

    async fn serve(&self, stream: TcpStream, tls: Tls, acceptor: TlsAcceptor) {
        if tls == Tls::Implicit {
            if let Ok(stream) = acceptor.accept(stream).await {
                Conversation::new(self, stream, true).run(false).await;
            }
            return;
        }
        let offered = tls == Tls::Offered;
        let plain = Conversation::new(self, stream, false).run(offered).await;
        if let Some(stream) = plain
            && let Ok(stream) = acceptor.accept(stream).await
        {
            let mut conversation = Conversation::new(self, stream, true);
            conversation.greeted = true;
            conversation.run(false).await;
        }
    }
}

struct Conversation<'a, S> {
    server: &'a SmtpServer,
    stream: BufReader<S>,
    mail: Received,
    greeted: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Conversation<'a, S> {
    fn new(server: &'a SmtpServer, stream: S, encrypted: bool) -> Self {
        Self {
            server,
            stream: BufReader::new(stream),
            mail: Received {
                encrypted,
                ..Received::default()
            },
            greeted: false,
        }
    }

    /// Returns the stream when TLS starts on it.
    async fn run(mut self, start_tls: bool) -> Option<S> {
        if !self.greeted {
            self.reply("CONNECT", "220 mail.example.com ESMTP").await?;
        }
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap().to_uppercase();
            self.server
                .state
                .lock()
                .unwrap()
                .commands
                .push(verb.clone());
            let rest = line.get(verb.len()..).unwrap_or_default().trim();
            match verb.as_str() {
                "EHLO" => {
                    self.mail.hello = rest.to_owned();
                    let offer = if start_tls { "250-STARTTLS\r\n" } else { "" };
                    let reply = format!("250-mail.example.com\r\n{offer}250 AUTH PLAIN");
                    self.reply("EHLO", &reply).await?;
                }
                "STARTTLS" => {
                    self.reply("STARTTLS", "220 go ahead").await?;
                    return Some(self.stream.into_inner());
                }
                "AUTH" => {
                    self.mail.login = Some(rest.to_owned());
                    self.reply("AUTH", "235 welcome").await?;
                }
                "MAIL" => {
                    self.mail.from = rest.to_owned();
                    self.mail.to.clear();
                    self.reply("MAIL", "250 ok").await?;
                }
                "RCPT" => {
                    self.mail.to.push(rest.to_owned());
                    self.reply("RCPT", "250 ok").await?;
                }
                "DATA" => {
                    self.reply("DATA", "354 go on").await?;
                    self.data().await?;
                }
                "QUIT" => {
                    self.reply("QUIT", "221 bye").await?;
                    return None;
                }
                _ => self.reply(&verb, "500 unknown command").await?,
            }
        }
    }

    async fn data(&mut self) -> Option<()> {
        self.mail.data.clear();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            if self.fault("BODY").is_some() {
                return None;
            }
            self.mail
                .data
                .push_str(line.strip_prefix('.').unwrap_or(&line));
            self.mail.data.push_str("\r\n");
        }
        let refused = matches!(self.fault("."), Some(Fault::Say(_)));
        if !refused {
            let mail = self.mail.clone();
            self.server.state.lock().unwrap().received.push(mail);
        }
        self.reply(".", "250 taken").await
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(length) if length > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            _ => None,
        }
    }

    fn fault(&self, at: &str) -> Option<Fault> {
        let state = self.server.state.lock().unwrap();
        let (place, fault) = state.fault.as_ref()?;
        (*place == at).then(|| fault.clone())
    }

    async fn reply(&mut self, at: &str, reply: &str) -> Option<()> {
        let reply = match self.fault(at) {
            None => reply.to_owned(),
            Some(Fault::Say(reply)) => reply,
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::HangUp) => return None,
        };
        let answer = format!("{reply}\r\n");
        self.stream.write_all(answer.as_bytes()).await.ok()?;
        self.stream.flush().await.ok()
    }
}
