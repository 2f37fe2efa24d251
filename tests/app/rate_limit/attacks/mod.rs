//! The attacks that the limits stop, with limits by client. Other users log in during each
//! attack, and none of them is refused.
//!
//! The attackers do a part of each attack themselves. Rows written directly to the database
//! replace the volume.

mod clock;
mod emails;
mod floods;
mod guessing;
mod numbers;
mod rows;
mod sessions;
mod texts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::support::{BEHIND_PROXY, Browser, PASSWORD, PHONE, Page, TestApp};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// An IPv4 address of the attackers, who also have the 250 addresses around it.
const ATTACKER: &str = "203.0.113.9";

/// Returns an address in a network of the attackers' IPv6 /48.
fn in_site(network: usize) -> String {
    format!("2001:db8:bad:{network:x}::1")
}

/// Asserts a refusal by a limit, with a wait of at most so many seconds.
#[track_caller]
fn assert_limited(page: &Page, sentence: &str, longest: u64) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert!(page.says(sentence), "{}", page.text());
    let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=longest).contains(&wait), "{wait}");
}

impl TestApp {
    /// Starts the app with two users who registered a day ago: harry with only a password, and
    /// alice with a phone.
    async fn with_users(settings: &[(&str, &str)]) -> Self {
        let app = Self::with(&[&[BEHIND_PROXY], settings].concat()).await;
        app.register("harry").await;
        app.with_two_factor("alice", PHONE).await;
        app.advance(DAY + 1);
        app
    }

    /// Logs in harry and alice, each from their own network. Returns their browsers.
    async fn users_log_in(&self) -> [Browser; 2] {
        [self.harry_logs_in().await, self.alice_logs_in().await]
    }

    async fn harry_logs_in(&self) -> Browser {
        let browser = self.browser().at("198.51.100.7");
        browser.complete_login("harry").await;
        browser
    }

    async fn alice_logs_in(&self) -> Browser {
        let browser = self.browser().at("2001:db8:a11:ce::1");
        let page = browser.log_in("alice", PASSWORD).await;
        page.redirects_to("/verify_2fa");
        let code = self.code_to(PHONE);
        browser.verify(&code).await.redirects_to("/home");
        browser
    }

    /// Returns the code that a phone received last.
    fn code_to(&self, phone: &str) -> String {
        let messages = self.phone().messages();
        let message = messages.iter().find(|it| it.to == phone);
        message.expect("no code came").code.clone()
    }

    /// Creates an account of the attackers, and logs it in from an address.
    async fn attacker(&self, username: &str, address: &str) -> Browser {
        let browser = self.browser().at(address);
        let email = format!("{username}@example.com");
        let page = browser.register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
        browser.complete_login(username).await;
        browser
    }

    /// Counts all sent codes.
    async fn codes_sent(&self) -> i64 {
        self.count("SELECT CAST(COALESCE(SUM(sent), 0) AS BIGINT) FROM sms_days")
            .await
    }
}

/// Requests that repeat until the flood ends.
struct Flood {
    is_over: Arc<AtomicBool>,
    loops: JoinSet<Vec<u16>>,
}

impl Flood {
    fn new() -> Self {
        Self {
            is_over: Arc::default(),
            loops: JoinSet::new(),
        }
    }

    /// Starts a loop in a browser.
    fn add<F>(&mut self, browser: Browser, request: impl Fn(Arc<Browser>) -> F + Send + 'static)
    where
        F: Future<Output = Page> + Send,
    {
        let (is_over, browser) = (Arc::clone(&self.is_over), Arc::new(browser));
        self.loops.spawn(async move {
            let mut statuses = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                statuses.push(request(Arc::clone(&browser)).await.status);
            }
            statuses
        });
    }

    /// Ends the loops, and returns all statuses.
    async fn end(self) -> Vec<u16> {
        self.is_over.store(true, Ordering::Relaxed);
        self.loops.join_all().await.concat()
    }
}
