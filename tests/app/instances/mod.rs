//! Several instances: real server processes on one database, with a proxy before them
//! that sends each request to the next one. They share nothing else.
//!
//! The processes have the machine's clock, which no test can move: what is tested
//! here is what needs no waiting.

mod killed;
mod limits;
mod proxy;
mod sessions;
mod starting;

use std::time::Instant;

use secrecy::ExposeSecret;
use sqlx::AnyPool;
use twostep::dev::simulator::DemoPhone;
use twostep::services::clock::Clock;

use crate::support::program::{Program, Starting};
use crate::support::smtp::{SmtpServer, Tls};
use crate::support::{Browser, PASSWORD, PATIENCE, TestDatabase};
use proxy::Proxy;

/// Starts an instance, which may not serve yet.
fn starting(variables: &[(&str, String)]) -> Starting {
    let variables = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    Starting::new(&variables.collect::<Vec<_>>())
}

/// Two instances and what they share.
struct Instances {
    servers: Vec<Program>,
    proxy: Proxy,
    phone: DemoPhone,
    smtp: SmtpServer,
    rows: AnyPool,
    variables: Vec<(&'static str, String)>,
    /// Goes last.
    _database: TestDatabase,
}

impl Instances {
    /// Both start at once on an empty database.
    async fn start() -> Self {
        let database = TestDatabase::new().await;
        let phone = DemoPhone::start(Clock::system()).await.unwrap();
        let smtp = SmtpServer::start(Tls::Never).await;
        let twilio = phone.settings();
        let variables = vec![
            ("RUST_LOG", "error".to_owned()),
            ("DATABASE_URL", database.url()),
            ("TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("SMTP_URL", format!("smtp://127.0.0.1:{}", smtp.port)),
            ("TWILIO_ACCOUNT_SID", twilio.username),
            (
                "TWILIO_AUTH_TOKEN",
                twilio.password.expose_secret().to_owned(),
            ),
            ("TWILIO_VERIFY_SERVICE_ID", twilio.service),
            ("TWILIO_VERIFY_ENROLL_SERVICE_ID", twilio.enroll_service),
            ("TWILIO_VERIFY_BASE_URL", twilio.base_url.to_string()),
        ];
        let starting = [starting(&variables), starting(&variables)];
        let servers: Vec<Program> = starting.into_iter().map(Starting::serving).collect();
        let addresses = servers.iter().map(|server| server.address).collect();
        Self {
            servers,
            proxy: Proxy::start(addresses).await,
            phone,
            smtp,
            rows: database.open().await,
            variables,
            _database: database,
        }
    }

    /// A browser that sees the proxy, which says that it is at this address.
    fn browser_at(&self, address: &str) -> Browser {
        Browser::new(self.proxy.address).at(address)
    }

    fn browser(&self) -> Browser {
        self.browser_at("203.0.113.7")
    }

    /// The same browser, whose requests all go to one instance.
    fn at(&self, browser: &Browser, number: usize) -> Browser {
        browser.copy_to(self.servers[number].address)
    }

    /// An instance dies without a word.
    fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Another one takes its place.
    fn replace(&mut self, number: usize) {
        let server = starting(&self.variables).serving();
        self.proxy.replace(number, server.address);
        self.servers[number] = server;
    }

    /// Makes an account and logs it in, by way of both.
    async fn signed_in(&self, username: &str) -> Browser {
        let (browser, email) = (self.browser(), format!("{username}@example.com"));
        let page = browser.register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
        let page = browser.log_in(username, PASSWORD).await;
        page.redirects_to("/home");
        browser
    }

    /// The same with two-factor authentication on.
    async fn with_two_factor(&self, username: &str, phone: &str) -> Browser {
        let browser = self.signed_in(username).await;
        browser.enable(phone).await.redirects_to("/verify_2fa");
        assert_eq!(browser.verify(&self.last_code()).await.status, 200);
        browser
    }

    /// A browser in which the password was right and the code is still to come.
    async fn half_logged_in(&self, username: &str) -> Browser {
        let browser = self.browser();
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

    /// Waits until a query counts nothing.
    async fn until_none(&self, sql: &'static str) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(sql).await > 0 {
            assert!(Instant::now() < deadline, "it never became so: {sql}");
            tokio::task::yield_now().await;
        }
    }

    /// Has the workers of all instances look at the queue, of whom nobody asks
    /// anything: the address is nobody's.
    async fn wake_workers(&self, numbers: &[usize]) {
        for number in numbers {
            let browser = self.at(&self.browser_at("198.51.100.1"), *number);
            let fields = [("email", "nobody@example.com")];
            let page = browser.post("/reset_password_request", &fields).await;
            assert!(page.status < 400, "{}", page.text());
        }
    }
}
