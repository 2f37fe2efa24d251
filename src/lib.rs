//! Twostep: accounts with a password and an optional second step by phone.
//!
//! `ARCHITECTURE.md` says which layer holds what. Here, and nowhere else, the
//! parts are put together.

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
mod session;
pub mod state;
pub mod tasks;
pub mod views;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use lettre::message::Mailbox;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::config::{Config, Twilio};
use crate::dev::mailbox::DemoMailbox;
use crate::dev::simulator::DemoPhone;
use crate::models::readers::Readers;
use crate::models::readiness::Readiness;
use crate::routes::Route;
use crate::server::Limits;
use crate::services::clock::Clock;
use crate::services::mailer::{self, Mailer};
use crate::services::metrics::Metrics;
use crate::services::passwords::{self, Passwords};
use crate::services::twilio_verify::{self, TwilioVerify};
use crate::state::{AppState, Parts};
use crate::tasks::mail::{MailQueue, MailWorker};
use crate::tasks::purge::Purge;

/// How long requests under way may take once the program is asked to end: a
/// little longer than the longest that a page may take.
const GRACE: Duration = middleware::request_log::TIMEOUT.saturating_add(Duration::from_secs(5));

/// How long the rest of the shutdown may take: the emails being sent, and closing the database.
const CLEANUP: Duration = tasks::mail::AT_THE_END.saturating_add(Duration::from_secs(5));

/// Connections at `METRICS_ADDR`: one or two ask there, and the files that a program may
/// have open are for people.
const METRICS_CONNECTIONS: usize = 8;

/// Why the app could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `DATABASE_URL` names no database that can be opened and migrated.
    #[error("DATABASE_URL: the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// The hashing threads could not be started.
    #[error("{0}")]
    Passwords(#[from] passwords::Error),
    /// Nothing can listen at `METRICS_ADDR`.
    #[error("METRICS_ADDR: cannot listen on {address}: {error}")]
    Metrics {
        /// The setting.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The demo phone could not be started.
    #[error("the demo phone cannot be started: {0}")]
    DemoPhone(#[from] std::io::Error),
    /// There is no client for Twilio, without certificates for instance.
    #[error("no connection to Twilio can be made: {0}")]
    Twilio(#[from] reqwest::Error),
    /// There is no client for the mail server.
    #[error("SMTP_URL: no mail can be sent: {0}")]
    Mailer(#[from] mailer::Error),
}

impl StartError {
    /// Whether a setting is wrong, so that no other try will go better.
    pub const fn is_of_settings(&self) -> bool {
        matches!(
            self,
            Self::Database(sqlx::Error::Configuration(_))
                | Self::Mailer(mailer::Error::Url | mailer::Error::Sender)
        )
    }
}

/// The app, ready to serve.
pub struct App {
    /// What its handlers can reach.
    pub state: AppState,
    /// Its addresses, and who may call them.
    pub routes: Vec<Route>,
    /// What deletes the rows that are over, once the app serves.
    pub purge: Purge,
    /// How long background tasks and database connections may take to end.
    pub cleanup_deadline: Duration,
    router: Router,
    mailer: Mailer,
    metrics: Option<TcpListener>,
}

impl App {
    /// Opens the database, starts the services and puts the parts together.
    /// `twilio_timeout` is the longest wait for an answer of Twilio's.
    pub async fn build(
        config: Config,
        clock: Clock,
        twilio_timeout: Duration,
    ) -> Result<Self, StartError> {
        let url = config.connection_url();
        let database = models::connect(url.expose_secret()).await?;
        let readers = Readers::new(&database, url.expose_secret())?;
        let passwords = Passwords::start()?;
        let (mut settings, demo_phone) = match &config.twilio {
            Some(twilio) => (verify_settings(twilio), None),
            None => {
                let phone = DemoPhone::start(clock.clone()).await?;
                (phone.settings(), Some(phone))
            }
        };
        settings.timeout = twilio_timeout;
        let (mailer, demo_mailbox) = match smtp_settings(&config) {
            Some(settings) => (Mailer::smtp(settings)?, None),
            None => {
                let mailbox = DemoMailbox::default();
                (Mailer::Demo(mailbox.clone()), Some(mailbox))
            }
        };
        let listener = match config.metrics_addr {
            Some(address) => Some(metrics_listener(address).await?),
            None => None,
        };
        let metrics = Metrics::default();
        let state = AppState::from(Parts {
            config,
            readers,
            database,
            readiness: Readiness::default(),
            passwords,
            verify: TwilioVerify::new(settings)?.counted_in(metrics.clone()),
            demo_phone,
            mail: MailQueue::default(),
            demo_mailbox,
            metrics,
            login_page: OnceLock::new(),
            under_way: watch::Sender::new(()),
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
            metrics: listener,
        })
    }

    /// Where metrics are told, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Serves until `shutdown` is ready, and then shuts down gracefully. Requests under way,
    /// also those whose client has gone, may take [`GRACE`]. Then the emails being sent are
    /// sent or put back and the database closed, within [`App::cleanup_deadline`]. `limits` is
    /// how much of the wire one client, and all of them, may take.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        limits: Limits,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let port = listener.local_addr()?.port();
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(self.mail_worker(port).run(stopped.clone()));
        let purge = tokio::spawn(self.purge.run(stopped));
        let metrics = self.metrics.take().map(|listener| {
            let router = routes::metrics_router(&self.state);
            let limits = Limits {
                connections: METRICS_CONNECTIONS,
                ..limits
            };
            tokio::spawn(server::serve(listener, router, limits, pending()))
        });
        let (asked, was_asked) = oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            let _ = asked.send(());
        };
        let deadline = async move {
            match was_asked.await {
                Ok(()) => tokio::time::sleep(GRACE).await,
                Err(_) => pending().await,
            }
        };
        let requests = async {
            server::serve(listener, self.router, limits, shutdown).await;
            // And those whose clients have gone.
            self.state.under_way.closed().await;
        };
        tokio::select! {
            () = requests => {}
            () = deadline => {
                tracing::warn!(event = "cut_off", "requests were cut off at the end");
            }
        }
        stop.send_replace(true);
        let cleanup = async {
            for (task, ended) in [("mail", worker.await), ("purge", purge.await)] {
                if let Err(error) = ended {
                    tracing::error!(event = "task_failed", task, %error, "background task panicked");
                }
            }
            if let Some(metrics) = metrics {
                metrics.abort();
            }
            self.state.readers.close().await;
            self.state.database.close().await;
        };
        // A database that no longer answers must not keep the program.
        let cleaned_up = tokio::time::timeout(self.cleanup_deadline, cleanup).await;
        if cleaned_up.is_err() {
            tracing::error!(
                event = "cleanup_timed_out",
                "shutdown deadline passed: background tasks or database connections were cut off"
            );
        }
        Ok(())
    }

    /// What sends the mail of this app, whose links lead to `port` unless
    /// `BASE_URL` says otherwise.
    pub fn mail_worker(&self, port: u16) -> MailWorker {
        MailWorker {
            database: self.state.database.clone(),
            mailer: self.mailer.clone(),
            base_url: self.state.config.base_url_for(port),
            clock: self.state.clock.clone(),
            metrics: self.state.metrics.clone(),
            queue: self.state.mail.clone(),
            interval: tasks::mail::INTERVAL,
            at_the_end: tasks::mail::AT_THE_END,
        }
    }
}

async fn metrics_listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| StartError::Metrics { address, error })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(event = "metrics_served", %address, "serving metrics at /metrics");
    }
    Ok(listener)
}

fn verify_settings(twilio: &Twilio) -> twilio_verify::Settings {
    twilio_verify::Settings {
        base_url: twilio.base_url.clone(),
        username: twilio.username.clone(),
        password: twilio.password.clone(),
        service: twilio.service.clone(),
        enroll_service: twilio.enroll_service.clone(),
        connect_timeout: twilio_verify::CONNECT_TIMEOUT,
        timeout: twilio_verify::TIMEOUT,
    }
}

fn smtp_settings(config: &Config) -> Option<mailer::Settings> {
    let from = &config.mail_from;
    Some(mailer::Settings {
        url: config.smtp_url.clone()?,
        from: Mailbox::new(from.name.clone(), from.address.clone()),
        timeout: mailer::TIMEOUT,
        roots: Vec::new(),
    })
}
