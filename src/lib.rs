//! Twostep: accounts with a password and optional two-factor authentication by phone.
//!
//! `ARCHITECTURE.md` describes the layers. [`App`] is the composition root: it creates all
//! parts of the app and connects them.

pub mod cli;
pub mod config;
mod controllers;
pub mod dev;
mod error;
mod extractors;
pub mod forms;
pub mod middleware;
pub mod models;
pub mod routes;
pub mod server;
pub mod services;
pub mod session;
pub mod state;
pub mod tasks;
pub mod views;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::config::{Config, ConfigError};
use crate::dev::mailbox::DemoMailbox;
use crate::dev::simulator::DemoPhone;
use crate::models::database_file::DatabaseFile;
use crate::models::factor::Factor;
use crate::models::readiness::Readiness;
use crate::models::session::SessionReader;
use crate::routes::Route;
use crate::server::Limits;
use crate::services::clock::Clock;
use crate::services::mailer::{self, Mailer};
use crate::services::metrics::Metrics;
use crate::services::passwords::{self, Passwords};
use crate::services::sealing::{self, SecretKeys};
use crate::services::twilio_verify::{Timeouts, TwilioVerify};
use crate::state::{AppState, Parts};
use crate::tasks::mail::{MailQueue, MailWorker};
use crate::tasks::purge::Purge;

/// The time for running requests at shutdown: a little longer than the longest request.
const GRACE: Duration =
    middleware::request_log::REQUEST_TIMEOUT.saturating_add(Duration::from_secs(5));

/// The time for the rest of the shutdown: the emails being sent, and closing the database.
const CLEANUP: Duration = tasks::mail::SHUTDOWN_GRACE.saturating_add(Duration::from_secs(5));

/// Connections at `METRICS_ADDR`. One or two are needed, and open files are for users.
const METRICS_CONNECTIONS: usize = 8;

/// Why the app could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("DATABASE_URL: {0}")]
    Database(#[from] models::OpenError),
    #[error("{0}")]
    KeyFile(#[from] ConfigError),
    #[error("SECRET_KEY: {0}")]
    SecretKeys(#[from] sealing::Error),
    /// The secrets of authenticator apps were sealed with another key.
    #[error(
        "SECRET_KEY: it doesn't open the secrets of all authenticator apps. Add the former key, after a comma"
    )]
    UnknownKey,
    #[error("the database: {0}")]
    Models(#[from] models::Error),
    #[error("{0}")]
    Passwords(#[from] passwords::Error),
    #[error("METRICS_ADDR: cannot listen on {address}: {error}")]
    Metrics {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("the demo phone cannot be started: {0}")]
    DemoPhone(#[from] std::io::Error),
    /// For instance, the system has no root certificates.
    #[error("the client for Twilio cannot be created: {0}")]
    Twilio(#[from] reqwest::Error),
    #[error("SMTP_URL: email cannot be sent: {0}")]
    Mailer(#[from] mailer::Error),
}

impl StartError {
    /// Whether a setting is wrong, so that a restart cannot help.
    pub const fn is_setting_error(&self) -> bool {
        match self {
            Self::Database(error) => error.is_permanent(),
            Self::KeyFile(_) | Self::UnknownKey => true,
            Self::Mailer(mailer::Error::Url | mailer::Error::Sender) => true,
            _ => false,
        }
    }
}

/// The app, ready to serve.
pub struct App {
    pub state: AppState,
    pub routes: Vec<Route>,
    pub purge: Purge,
    /// How long background tasks and database connections may take to end.
    pub cleanup_deadline: Duration,
    router: Router,
    mailer: Mailer,
    metrics: Option<TcpListener>,
}

impl App {
    /// Opens the database and starts the services. `twilio_timeout` is the longest wait for a
    /// response of Twilio's.
    pub async fn build(
        config: Config,
        clock: Clock,
        twilio_timeout: Duration,
    ) -> Result<Self, StartError> {
        let url = config.database_url.clone();
        let database = models::connect(url.expose_secret()).await?;
        let file = DatabaseFile::find(url.expose_secret()).map_err(models::OpenError::from)?;
        let secret_keys = secret_keys(&config, file.as_deref())?;
        if !Factor::can_open_all(&database, secret_keys.as_ref()).await? {
            return Err(StartError::UnknownKey);
        }
        let passwords = Passwords::start()?;
        let (verify, demo_phone) = twilio_client(&config, &clock, twilio_timeout).await?;
        let (mailer, demo_mailbox) = mailer(&config)?;
        let metrics = match config.metrics_addr {
            Some(address) => Some(listen_for_metrics(address).await?),
            None => None,
        };
        let state = AppState::from(Parts {
            config,
            session_reader: SessionReader::new(&database, file.clone()),
            readiness: Readiness::new(file),
            database,
            secret_keys,
            passwords,
            verify,
            demo_phone,
            mail: MailQueue::default(),
            demo_mailbox,
            metrics: Metrics::default(),
            requests: TaskTracker::new(),
            clock,
        });
        let (router, routes) = routes::router(&state);
        let purge = Purge {
            database: state.database.clone(),
            clock: state.clock.clone(),
            start: tasks::purge::START,
            interval: tasks::purge::INTERVAL,
        };
        Ok(Self {
            state,
            routes,
            purge,
            cleanup_deadline: CLEANUP,
            router,
            mailer,
            metrics,
        })
    }

    /// The address of the metrics, if they are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Serves until `shutdown` completes, and then shuts down gracefully. Running requests, even
    /// of disconnected clients, may take [`GRACE`]. Then the emails being sent are
    /// sent or put back and the database closed, within [`App::cleanup_deadline`].
    pub async fn serve(
        mut self,
        listener: TcpListener,
        limits: Limits,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        let worker = tokio::spawn(self.mail_worker(port).run(stop.clone()));
        let purge = tokio::spawn(self.purge.run(stop.clone()));
        let stop = stop.drop_guard(); // the tasks also end if this future is dropped
        let _metrics = self.metrics.take().map(|listener| {
            let router = routes::metrics_router(&self.state);
            let limits = Limits {
                connections: METRICS_CONNECTIONS,
                ..limits
            };
            let server = server::serve(listener, router, limits, pending());
            AbortOnDropHandle::new(tokio::spawn(server))
        });
        serve_requests(listener, self.router, &self.state, limits, shutdown).await;
        drop(stop);
        let cleanup = async {
            for (task, result) in [("mail", worker.await), ("purge", purge.await)] {
                if let Err(error) = result {
                    tracing::error!(event = "task_failed", task, %error, "background task panicked");
                }
            }
            self.state.session_reader.close();
            self.state.database.close().await;
        };
        // A database that no longer answers must not delay the end.
        let cleaned_up = tokio::time::timeout(self.cleanup_deadline, cleanup).await;
        if cleaned_up.is_err() {
            tracing::error!(
                event = "cleanup_timed_out",
                "shutdown deadline passed: background tasks or database connections were cut off"
            );
        }
        Ok(())
    }

    /// The email worker. Without `BASE_URL` its links lead to `port` on this machine.
    pub fn mail_worker(&self, port: u16) -> MailWorker {
        MailWorker {
            database: self.state.database.clone(),
            mailer: self.mailer.clone(),
            base_url: self.state.config.base_url_for(port),
            clock: self.state.clock.clone(),
            metrics: self.state.metrics.clone(),
            queue: self.state.mail.clone(),
            interval: tasks::mail::INTERVAL,
            shutdown_grace: tasks::mail::SHUTDOWN_GRACE,
        }
    }
}

/// Serves until `shutdown` completes, and then until no request runs or [`GRACE`] is over.
async fn serve_requests(
    listener: TcpListener,
    router: Router,
    state: &AppState,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let stopping = CancellationToken::new();
    let requests = async {
        server::serve(listener, router, limits, stopping.cancelled()).await;
        state.requests.close();
        state.requests.wait().await;
    };
    let deadline = async {
        shutdown.await;
        stopping.cancel();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = requests => {}
        () = deadline => {
            tracing::warn!(event = "cut_off", "shutdown deadline passed: requests were cut off");
        }
    }
}

async fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| StartError::Metrics { address, error })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(event = "metrics_served", %address, "serving metrics at /metrics");
    }
    Ok(listener)
}

/// The keys of `SECRET_KEY`, or of a key file beside the SQLite file. With PostgreSQL the file
/// is in the current folder.
fn secret_keys(
    config: &Config,
    database: Option<&DatabaseFile>,
) -> Result<Option<SecretKeys>, StartError> {
    let folder = database.and_then(|file| file.path.parent());
    let keys = config.load_secret_keys(folder.unwrap_or(Path::new(".")))?;
    Ok(keys.map(|keys| SecretKeys::new(&keys)).transpose()?)
}

/// The client for Twilio, or for the demo phone without settings of Twilio.
async fn twilio_client(
    config: &Config,
    clock: &Clock,
    timeout: Duration,
) -> Result<(TwilioVerify, Option<DemoPhone>), StartError> {
    let (twilio, demo_phone) = match &config.twilio {
        Some(twilio) => (twilio.clone(), None),
        None => {
            let phone = DemoPhone::start(clock.clone()).await?;
            (phone.settings(), Some(phone))
        }
    };
    let timeouts = Timeouts {
        request: timeout,
        ..Timeouts::default()
    };
    Ok((TwilioVerify::new(twilio, timeouts)?, demo_phone))
}

/// The client for the mail server, or the demo mailbox without one.
fn mailer(config: &Config) -> Result<(Mailer, Option<DemoMailbox>), mailer::Error> {
    let Some(url) = &config.smtp_url else {
        let mailbox = DemoMailbox::default();
        return Ok((Mailer::Demo(mailbox.clone()), Some(mailbox)));
    };
    let settings = mailer::Settings {
        url: url.clone(),
        from: config.mail_from.clone(),
        timeout: mailer::TIMEOUT,
        roots: Vec::new(),
        addresses: Vec::new(),
    };
    Ok((Mailer::smtp(settings)?, None))
}
