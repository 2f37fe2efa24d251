//! What every handler can reach.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use tokio::sync::watch;

use crate::config::{Config, Environment};
use crate::dev::mailbox::DemoMailbox;
use crate::dev::simulator::{DemoPhone, is_demo_number};
use crate::models::Database;
use crate::models::client::Client;
use crate::models::rate_limit::SendLimits;
use crate::models::readers::Readers;
use crate::models::readiness::Readiness;
use crate::services::clock::Clock;
use crate::services::metrics::Metrics;
use crate::services::passwords::Passwords;
use crate::services::twilio_verify::TwilioVerify;
use crate::tasks::mail::MailQueue;

/// The parts of the app. Clones share them: every layer has one, and each request
/// clones the layers, so that a clone has to cost nothing.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// What the app is made of, put together in `lib.rs`.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The pool of connections.
    pub database: Database,
    /// The connections that sessions are read with.
    pub readers: Readers,
    /// Whether it can be written.
    pub readiness: Readiness,
    /// Password hashing; for a request's work see [`AppState::passwords_for`].
    pub passwords: Passwords,
    /// Twilio Verify, or the demo phone behind the same client.
    pub verify: TwilioVerify,
    /// The demo phone, where Twilio is not configured in development.
    pub demo_phone: Option<DemoPhone>,
    /// To be woken when mail was queued.
    pub mail: MailQueue,
    /// The demo mailbox, where no mail server is configured in development.
    pub demo_mailbox: Option<DemoMailbox>,
    /// What is counted, for `METRICS_ADDR`.
    pub metrics: Metrics,
    /// The log-in page of everybody who is not known, once somebody has asked for it.
    pub login_page: OnceLock<Bytes>,
    /// Has a receiver for each request that runs to its end, whoever has gone: it is
    /// closed while there is none.
    pub under_way: watch::Sender<()>,
    /// The time.
    pub clock: Clock,
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AppState {
    /// The client for the limits that count by client; none where they do not apply: in
    /// development to this very machine, so that nobody locks themselves out while trying
    /// things. Wrong passwords by name, and wrong recovery codes, count there too.
    #[must_use]
    pub fn limited_client<'a>(&self, client: &'a Client) -> Option<&'a Client> {
        let is_own_machine = client.address.is_loopback();
        let is_exempt = is_own_machine && self.config.environment == Environment::Development;
        (!is_exempt).then_some(client)
    }

    /// Password hashing that takes turns with other clients. All networks of an IPv6 site
    /// are one client, since their owner would otherwise get a turn for each.
    #[must_use]
    pub fn passwords_for(&self, client: &Client) -> Passwords {
        let client = self.limited_client(client);
        let key = client.map(|client| client.site().unwrap_or_else(|| client.network()));
        self.passwords.for_client(key)
    }

    /// What decides whether a code may be sent to a number for this client.
    #[must_use]
    pub fn send_limits(&self, phone: &str, client: &Client) -> SendLimits {
        SendLimits {
            // The numbers with which the demo phone shows what can go wrong.
            unlimited: self.demo_phone.is_some() && is_demo_number(phone),
            client: self.limited_client(client).cloned(),
            daily_limit: self.config.sms_daily_limit.into(),
        }
    }
}
