//! The attacks that the limits were made against, each on the real program with limits by
//! client on. Other users log in while an attack lasts, and none of them is refused.
//!
//! The attackers do a part of an attack themselves. Rows written beside the program stand in
//! for the volume, where the part has shown how they come about.

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

/// An IPv4 address of the attackers. The 250 addresses around it are theirs, too.
const ATTACKER: &str = "203.0.113.9";

/// An address in one of the networks of the attackers' IPv6 /48.
fn in_site(network: usize) -> String {
    format!("2001:db8:bad:{network:x}::1")
}

/// Asserts a refusal by a limit that holds for at most so many seconds.
#[track_caller]
fn assert_limited(page: &Page, sentence: &str, longest: u64) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert!(page.says(sentence), "{}", page.text());
    let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=longest).contains(&wait), "{wait}");
}

impl TestApp {
    /// The app with two users who have been there for a day: harry with a password alone,
    /// and alice with a phone besides.
    async fn with_users(settings: &[(&str, &str)]) -> Self {
        let app = Self::with(&[&[BEHIND_PROXY], settings].concat()).await;
        app.register("harry").await;
        app.with_two_factor("alice", PHONE).await;
        app.advance(DAY + 1);
        app
    }

    /// Harry and alice log in, each from a network of their own. Returns their browsers.
    async fn users_log_in(&self) -> [Browser; 2] {
        [self.harry_logs_in().await, self.alice_logs_in().await]
    }

    async fn harry_logs_in(&self) -> Browser {
        let browser = self.browser().at("198.51.100.7");
        let page = browser.log_in("harry", PASSWORD).await;
        page.redirects_to("/home");
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

    /// The code that a phone received last.
    fn code_to(&self, phone: &str) -> String {
        let messages = self.phone().messages();
        let message = messages.iter().find(|it| it.to == phone);
        message.expect("no code came").code.clone()
    }

    /// A new account of the attackers, logged in at an address of theirs.
    async fn attacker(&self, username: &str, address: &str) -> Browser {
        let browser = self.browser().at(address);
        let email = format!("{username}@example.com");
        let page = browser.register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
        browser
            .log_in(username, PASSWORD)
            .await
            .redirects_to("/home");
        browser
    }

    /// Codes that were sent to anybody.
    async fn codes_sent(&self) -> i64 {
        self.count("SELECT CAST(COALESCE(SUM(sent), 0) AS BIGINT) FROM sms_days")
            .await
    }
}

/// Requests that are sent in loops until the flood ends.
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

    /// Ends the loops, and returns the statuses of all answers.
    async fn end(self) -> Vec<u16> {
        self.is_over.store(true, Ordering::Relaxed);
        self.loops.join_all().await.concat()
    }
}
