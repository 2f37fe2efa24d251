//! The app in tests: on a free port, with its own database, the demo phone and a manual clock.

mod accounts;
mod browser;
pub mod database;
pub mod hashing;
mod mail;
mod page;
mod postgres;
pub mod program;
pub mod raw;
mod rows;
pub mod scratch;
pub mod smtp;
mod start;

pub use browser::Browser;
pub use database::TestDatabase;
pub use mail::link;
pub use page::{Page, keep};

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use sqlx::AnyPool;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use twostep::dev::simulator::{DemoPhone, PhoneMessage};
use twostep::models::client::Client;
use twostep::routes::Route;
use twostep::state::AppState;

/// A password that zxcvbn accepts, without a user's name in it.
pub const PASSWORD: &str = "green tram rides at noon";

/// Valid phone numbers; the first is the tutorial's.
pub const PHONE: &str = "+254720227267";
pub const OTHER_PHONE: &str = "+4915123456789";
pub const THIRD_PHONE: &str = "+447400123456";

/// A key, so that no app of a test creates a key file.
pub const SECRET_KEY: (&str, &str) = ("SECRET_KEY", "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=");

/// The setting with which [`Browser::at`] works.
pub const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");

/// Some moment in 2026.
pub const NOW: i64 = 1_790_000_000;

/// The app's timeout for Twilio in tests.
pub const TWILIO_TIMEOUT: Duration = Duration::from_millis(400);

/// A timeout for tests on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds. Fails after [`PATIENCE`].
pub async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("timed out");
}

pub fn a_client() -> Client {
    Client::new(
        [127, 0, 0, 1].into(),
        b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    )
}

pub struct TestApp {
    pub state: AppState,
    pub routes: Vec<Route>,
    pub address: SocketAddr,
    pub metrics: Option<SocketAddr>,
    pub database: TestDatabase,
    /// Connections of the test to the app's database.
    pub pool: AnyPool,
    mail_read: AtomicUsize,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl TestApp {
    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    pub fn advance(&self, seconds: u64) {
        self.state.clock.advance(Duration::from_secs(seconds));
    }

    pub fn phone(&self) -> &DemoPhone {
        self.state.demo_phone.as_ref().unwrap()
    }

    pub fn last_message(&self) -> PhoneMessage {
        self.phone()
            .messages()
            .first()
            .cloned()
            .expect("nothing was sent")
    }

    pub fn last_code(&self) -> String {
        self.last_message().code
    }

    /// The number of texts and calls to the demo phone.
    pub fn messages_sent(&self) -> usize {
        self.phone().messages().len()
    }
}
