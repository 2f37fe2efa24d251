//! Twostep: accounts with a password and an optional second step by phone.
//!
//! `ARCHITECTURE.md` says which layer holds what. Here, and nowhere else, the
//! parts are put together.

pub mod config;
mod controllers;
pub mod dev;
mod error;
mod extractors;
mod forms;
pub mod middleware;
pub mod models;
pub mod routes;
pub mod services;
mod session;
pub mod state;
mod views;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{Config, Twilio};
use crate::dev::simulator::DemoPhone;
use crate::routes::Route;
use crate::services::clock::Clock;
use crate::services::passwords::{self, Passwords};
use crate::services::twilio_verify::{self, TwilioVerify};
use crate::state::AppState;

/// How long requests under way may take once the program is asked to end: a
/// little longer than the longest that a page may take.
const GRACE: Duration = Duration::from_secs(35);

/// Why the app could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `DATABASE_URL` names no database that can be opened and migrated.
    #[error("DATABASE_URL: the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// The hashing threads could not be started.
    #[error("{0}")]
    Passwords(#[from] passwords::Error),
    /// The demo phone could not be started.
    #[error("the demo phone cannot be started: {0}")]
    DemoPhone(#[from] std::io::Error),
    /// There is no client for Twilio, without certificates for instance.
    #[error("no connection to Twilio can be made: {0}")]
    Twilio(#[from] reqwest::Error),
}

/// The app, ready to serve.
pub struct App {
    /// What its handlers can reach.
    pub state: AppState,
    /// Its addresses, and who may call them.
    pub routes: Vec<Route>,
    router: Router,
}

impl App {
    /// Opens the database, starts the services and puts the parts together.
    /// `twilio_timeout` is the longest wait for an answer of Twilio's.
    ///
    /// # Errors
    /// When one of the parts cannot be started.
    pub async fn build(
        config: Config,
        clock: Clock,
        twilio_timeout: Duration,
    ) -> Result<Self, StartError> {
        let database = models::connect(config.connection_url().expose_secret()).await?;
        let passwords = Passwords::start()?;
        let (mut settings, demo_phone) = match &config.twilio {
            Some(twilio) => (verify_settings(twilio), None),
            None => {
                let phone = DemoPhone::start(clock.clone()).await?;
                (phone.settings(), Some(phone))
            }
        };
        settings.timeout = twilio_timeout;
        let state = AppState {
            config: Arc::new(config),
            database,
            passwords,
            verify: TwilioVerify::new(settings)?,
            demo_phone,
            clock,
        };
        let (router, routes) = routes::router(&state);
        Ok(Self {
            state,
            routes,
            router,
        })
    }

    /// Serves until `shutdown` is ready and the requests under way are answered,
    /// or [`GRACE`] is over: a client that never ends its request must not keep
    /// the program.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let database = self.state.database;
        let (asked, was_asked) = oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            let _ = asked.send(());
        };
        let deadline = async move {
            match was_asked.await {
                Ok(()) => tokio::time::sleep(GRACE).await,
                Err(_) => std::future::pending().await,
            }
        };
        let service = self
            .router
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            served = axum::serve(listener, service).with_graceful_shutdown(shutdown) => served?,
            () = deadline => tracing::warn!(event = "cut_off", "requests were cut off at the end"),
        }
        database.close().await;
        Ok(())
    }
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
