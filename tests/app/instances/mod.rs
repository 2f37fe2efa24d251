//! Several instances: real server processes that share nothing but the database. Requests go
//! to one or the other, as behind a load balancer.
//!
//! The processes use the machine's clock, which tests cannot move.

mod killed;
mod limits;
mod sessions;

use std::time::Instant;

use secrecy::ExposeSecret;
use sqlx::AnyPool;
use twostep::dev::simulator::DemoPhone;
use twostep::services::clock::Clock;

use crate::support::program::{Program, Starting};
use crate::support::smtp::{SmtpServer, Tls};
use crate::support::{Browser, PASSWORD, PATIENCE, PHONE, TestDatabase};

/// Two instances and what they share.
struct Instances {
    servers: Vec<Program>,
    phone: DemoPhone,
    smtp: SmtpServer,
    rows: AnyPool,
    settings: Vec<(&'static str, String)>,
    /// Dropped last.
    _database: TestDatabase,
}

/// Starts instances at the same time.
fn start_all(count: usize, settings: &[(&str, String)]) -> Vec<Program> {
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<(&str, &str)> = settings.collect();
    let starting: Vec<Starting> = (0..count).map(|_| Starting::new(&settings)).collect();
    starting.into_iter().map(Starting::serving).collect()
}

impl Instances {
    /// Starts both on an empty database.
    async fn start() -> Self {
        let database = TestDatabase::new().await;
        let phone = DemoPhone::start(Clock::system()).await.unwrap();
        let smtp = SmtpServer::start(Tls::Never).await;
        let twilio = phone.settings();
        let settings = vec![
            ("RUST_LOG", "error".to_owned()),
            ("DATABASE_URL", database.url()),
            ("TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("SMTP_URL", smtp.url()),
            ("TWILIO_ACCOUNT_SID", twilio.username),
            (
                "TWILIO_AUTH_TOKEN",
                twilio.password.expose_secret().to_owned(),
            ),
            ("TWILIO_VERIFY_SERVICE_ID", twilio.service),
            ("TWILIO_VERIFY_ENROLL_SERVICE_ID", twilio.enroll_service),
            ("TWILIO_VERIFY_BASE_URL", twilio.base_url.to_string()),
        ];
        Self {
            servers: start_all(2, &settings),
            phone,
            smtp,
            rows: database.open().await,
            settings,
            _database: database,
        }
    }

    /// A new browser that uses one instance.
    fn browser(&self, number: usize) -> Browser {
        Browser::new(self.servers[number].address).at("203.0.113.7")
    }

    /// The same browser at one instance.
    fn at(&self, browser: &Browser, number: usize) -> Browser {
        browser.copy_to(self.servers[number].address)
    }

    fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Starts a new instance in place of another.
    fn replace(&mut self, number: usize) {
        self.servers[number] = start_all(1, &self.settings).remove(0);
    }

    /// Registers on the first instance, and logs in on the second.
    async fn register_and_log_in(&self, username: &str) -> Browser {
        let (browser, email) = (self.browser(0), format!("{username}@example.com"));
        let page = browser.register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
        let browser = self.at(&browser, 1);
        browser.complete_login(username).await;
        browser
    }

    /// The same with two-factor authentication, turned on with both instances.
    async fn with_two_factor(&self, username: &str) -> Browser {
        let browser = self.at(&self.register_and_log_in(username).await, 0);
        browser.enable(PHONE).await.redirects_to("/verify_2fa");
        let browser = self.at(&browser, 1);
        assert_eq!(browser.verify(&self.last_code()).await.status, 200);
        browser
    }

    /// A browser with an open login challenge.
    async fn with_challenge(&self, username: &str, number: usize) -> Browser {
        let browser = self.browser(number);
        let page = browser.log_in(username, PASSWORD).await;
        page.redirects_to("/verify_2fa");
        browser
    }

    fn last_code(&self) -> String {
        self.phone.messages()[0].code.clone()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&self.rows);
        count.await.unwrap()
    }

    /// Waits until a query counts zero rows.
    async fn until_none(&self, sql: &'static str) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(sql).await > 0 {
            assert!(Instant::now() < deadline, "it never became zero: {sql}");
            tokio::task::yield_now().await;
        }
    }

    /// Makes the email workers of these instances look at the queue.
    async fn wake_workers(&self, numbers: &[usize]) {
        for number in numbers {
            let browser = self.browser(*number).at("198.51.100.1");
            let fields = [("email", "nobody@example.com")];
            let page = browser.post("/reset_password_request", &fields).await;
            assert!(page.status < 400, "{}", page.text());
        }
    }
}

/// Instances that start together migrate one after the other.
#[tokio::test]
async fn four_instances_start_on_an_empty_database_and_migrate_it_once() {
    for _ in 0..3 {
        let database = TestDatabase::new().await;
        let settings = [
            ("RUST_LOG", "error".to_owned()),
            ("DATABASE_URL", database.url()),
        ];
        assert_eq!(start_all(4, &settings).len(), 4);
        let rows = database.open().await;
        let versions: i64 = sqlx::query_scalar("SELECT COUNT(version) FROM _sqlx_migrations")
            .fetch_one(&rows)
            .await
            .unwrap();
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
        assert_eq!(usize::try_from(versions).unwrap(), files.unwrap().count());
        rows.close().await;
    }
}
