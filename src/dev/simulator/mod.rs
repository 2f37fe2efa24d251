//! The demo phone: a simulator of Twilio Verify on a free loopback port. The client of the
//! real service talks to it, so development and tests run the code that production runs.
//! `rules` holds its behavior, and [`Failure`] what can go wrong in tests.

mod failure;
mod rules;
mod server;

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use url::Url;

use crate::config::Twilio;
use crate::services::clock::Clock;
use crate::services::twilio_verify::Channel;

pub use failure::Failure;
pub use rules::{BLOCKED, LANDLINE, SILENT, TOO_MANY, UNAVAILABLE, is_demo_number};

use rules::{Verification, Verifications, random_sid};

/// Messages that are kept.
const MESSAGES: usize = 50;

/// A running simulator. Clones are the same phone. It ends with the runtime.
#[derive(Clone)]
pub struct DemoPhone(Arc<Phone>);

struct Phone {
    settings: Twilio,
    clock: Clock,
    state: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    main: Verifications,
    enroll: Verifications,
    messages: VecDeque<PhoneMessage>,
    counters: Counters,
    failure: Option<Failure>,
}

/// An SMS or call that the phone received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneMessage {
    /// The number (E.164).
    pub to: String,
    pub channel: Channel,
    pub code: String,
    /// Unix seconds.
    pub sent_at: i64,
}

/// Requests that arrived, whatever the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Codes requested.
    pub creates: u64,
    /// Codes checked.
    pub checks: u64,
    /// Verifications canceled.
    pub cancels: u64,
    /// Redirects ([`Failure::Redirect`]) that a client followed.
    pub followed: u64,
}

impl DemoPhone {
    /// Starts the simulator with random credentials and services. Its codes expire by `clock`.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let phone = Self(Arc::new(Phone {
            settings: Twilio {
                username: random_sid("AC")?,
                password: random_sid("")?.into(),
                service: random_sid("VA")?,
                enroll_service: random_sid("VA")?,
                base_url: Url::parse(&base_url).map_err(io::Error::other)?,
            },
            clock,
            state: Mutex::default(),
        }));
        let app = server::router(phone.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the demo phone has stopped");
            }
        });
        Ok(phone)
    }

    /// The settings of a client of this phone.
    pub fn settings(&self) -> Twilio {
        self.0.settings.clone()
    }

    /// The last 50 messages, newest first.
    pub fn messages(&self) -> Vec<PhoneMessage> {
        self.lock().messages.iter().cloned().collect()
    }

    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// For tests: every later request fails like this, until `None`.
    pub fn fail_with(&self, failure: Option<Failure>) {
        self.lock().failure = failure;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn receive(&mut self, it: &Verification, now: i64) {
        let channel = it.channel.into_str();
        tracing::info!(code = %it.code, "demo phone: {channel} to {}", it.to);
        self.messages.push_front(PhoneMessage {
            to: it.to.clone(),
            channel: it.channel,
            code: it.code.clone(),
            sent_at: now,
        });
        self.messages.truncate(MESSAGES);
    }
}
