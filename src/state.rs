//! The state that all handlers share.

use std::ops::Deref;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::config::{Config, Environment};
use crate::dev::mailbox::DemoMailbox;
use crate::dev::simulator::{DemoPhone, is_demo_number};
use crate::forms::phone_number::country_of;
use crate::models::Database;
use crate::models::client::Client;
use crate::models::factor::CodeSender;
use crate::models::rate_limit::SendLimits;
use crate::models::readiness::Readiness;
use crate::models::session::SessionReader;
use crate::services::clock::Clock;
use crate::services::metrics::Metrics;
use crate::services::passwords::Passwords;
use crate::services::sealing::SecretKeys;
use crate::services::twilio_verify::TwilioVerify;
use crate::tasks::mail::MailQueue;

const DAY: i64 = 24 * 60 * 60;

/// The shared parts of the app. A clone is cheap, since each request clones the layers that
/// hold one.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the app, which `lib.rs` creates.
pub struct Parts {
    pub config: Config,
    pub database: Database,
    pub session_reader: SessionReader,
    pub readiness: Readiness,
    /// Password hashing; for a request's work see [`AppState::passwords_for`].
    pub passwords: Passwords,
    /// Seals the secrets of authenticator apps. `None` turns such apps off.
    pub secret_keys: Option<SecretKeys>,
    /// Twilio Verify, or the demo phone behind the same client.
    pub verify: TwilioVerify,
    /// The demo phone, if Twilio is not configured in development.
    pub demo_phone: Option<DemoPhone>,
    pub mail: MailQueue,
    /// The demo mailbox, if no mail server is configured in development.
    pub demo_mailbox: Option<DemoMailbox>,
    pub metrics: Metrics,
    /// Running requests that complete even if their client has disconnected.
    pub requests: TaskTracker,
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
    /// The client for limits by client. None for the local machine in development, so that
    /// developers don't lock themselves out. Wrong passwords by name and wrong recovery codes
    /// count there too.
    pub fn limited_client<'a>(&self, client: &'a Client) -> Option<&'a Client> {
        let is_own_machine = client.address.is_loopback();
        let is_exempt = is_own_machine && self.config.environment == Environment::Development;
        (!is_exempt).then_some(client)
    }

    /// The end of the trust in a device that a login grants now. None if there is no trust.
    pub fn trust_until(&self, now: i64) -> Option<i64> {
        let days = i64::from(self.config.trust_device_days);
        (days > 0).then(|| now + days * DAY)
    }

    /// Password hashing in a fair queue between clients. All networks of an IPv6 site are one
    /// client, since their owner would otherwise get a place in the queue for each.
    pub fn passwords_for(&self, client: &Client) -> Passwords {
        let client = self.limited_client(client);
        let key = client.map(|client| client.site().unwrap_or_else(|| client.network()));
        self.passwords.for_client(key)
    }

    /// Sends codes to a number, within the limits of this client. `phone` is `None` if the factor
    /// is no phone: then no code is sent.
    pub fn code_sender(&self, phone: Option<&str>, client: &Client) -> CodeSender<'_> {
        let limits = SendLimits {
            // The demo phone's numbers, each of which simulates a failure.
            unlimited: self.demo_phone.is_some() && phone.is_some_and(is_demo_number),
            client: self.limited_client(client).cloned(),
            daily_limit: self.config.sms_daily_limit.into(),
        };
        CodeSender {
            database: &self.database,
            verify: &self.verify,
            metrics: &self.metrics,
            limits,
            country: phone.and_then(country_of),
        }
    }
}
