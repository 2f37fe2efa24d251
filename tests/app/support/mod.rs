//! The app as tests see it: the real program's parts on a free port, with a
//! database file of its own, the demo phone, and a clock that stands still.

mod browser;
mod page;
pub mod program;
pub mod raw;
pub mod scratch;
pub mod smtp;

pub use browser::Browser;
pub use page::{Page, keep};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use sqlx::Row;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use twostep::App;
use twostep::config::Config;
use twostep::dev::mailbox::Message as Mail;
use twostep::dev::simulator::{DemoPhone, Message};
use twostep::models::authentication::Claim;
use twostep::models::client::Client;
use twostep::models::limits::Limit;
use twostep::models::mail_token::{MailToken, Purpose};
use twostep::models::outbox::{self, Event, Notice};
use twostep::models::recovery_code::RecoveryCode;
use twostep::models::throttle;
use twostep::models::user::User;
use twostep::routes::Route;
use twostep::server::Limits;
use twostep::services::clock::Clock;
use twostep::state::AppState;
use url::Url;

/// Good enough for zxcvbn, and nobody's name is in it.
pub const PASSWORD: &str = "green tram rides at noon";

/// A number in Kenya, as the tutorial has it, and two more.
pub const PHONE: &str = "+254720227267";
pub const OTHER_PHONE: &str = "+4915123456789";
pub const THIRD_PHONE: &str = "+447400123456";

/// The setting of an app that believes what its tests say of addresses.
pub const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");

/// Some moment in 2026.
pub const NOW: i64 = 1_790_000_000;

/// How long the app waits for Twilio in tests.
pub const TWILIO_TIMEOUT: Duration = Duration::from_millis(400);

/// Longer than anything that is waited for takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so, and fails where it never becomes so.
pub async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it never became so");
}

/// Where the link in a mail leads on this site.
pub fn link(mail: &Mail) -> String {
    let link = mail.link().expect("no link in the mail");
    Url::parse(link).unwrap().path().to_owned()
}

/// Where a request may have come from.
pub fn a_client() -> Client {
    Client::new(
        [127, 0, 0, 1].into(),
        b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    )
}

/// A running app.
pub struct TestApp {
    pub state: AppState,
    pub routes: Vec<Route>,
    pub address: SocketAddr,
    pub metrics: Option<SocketAddr>,
    mail_read: AtomicUsize,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl TestApp {
    /// The app as a developer gets it who configures nothing.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The app with these settings besides.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::with_timeout(settings, TWILIO_TIMEOUT).await
    }

    /// The app with these settings, and this much patience with Twilio.
    pub async fn with_timeout(settings: &[(&str, &str)], timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        Self::on(folder, settings, Clock::manual(NOW), timeout, limits).await
    }

    /// The app with these limits of the wire.
    pub async fn with_limits(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::on(folder, &[], Clock::manual(NOW), TWILIO_TIMEOUT, limits).await
    }

    /// The app on the database in a folder, which another may have left there.
    async fn on(
        folder: TempDir,
        settings: &[(&str, &str)],
        clock: Clock,
        timeout: Duration,
        limits: Limits,
    ) -> Self {
        let path = folder.path().join("test.db");
        let mut variables = HashMap::from([(
            "DATABASE_URL".to_owned(),
            format!("sqlite://{}", path.display()),
        )]);
        for (name, value) in settings {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let config = Config::from_variables(&variables).unwrap();
        let app = App::build(config, clock, timeout).await.unwrap();
        let (state, routes) = (app.state.clone(), app.routes.clone());
        let metrics = app.metrics_address();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let asked = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await; // the test is over
            }
        };
        let served = tokio::spawn(async move { app.serve(listener, limits, asked).await.unwrap() });
        Self {
            state,
            routes,
            address,
            metrics,
            mail_read: AtomicUsize::new(0),
            folder,
            stop,
            served,
        }
    }

    /// Ends the app, and starts another with these settings on its database.
    pub async fn restarted(self, settings: &[(&str, &str)]) -> Self {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        let clock = self.state.clock.clone();
        let limits = Limits::default();
        Self::on(self.folder, settings, clock, TWILIO_TIMEOUT, limits).await
    }

    /// The app behind a proxy, so that browsers may be anywhere.
    pub async fn behind_proxy() -> Self {
        Self::with(&[BEHIND_PROXY]).await
    }

    /// The app with a mail server that is not there, so that what is queued stays
    /// in the outbox.
    pub async fn keeping_mail() -> Self {
        Self::with(&[("SMTP_URL", "smtp://127.0.0.1:1")]).await
    }

    /// The app as it goes online; Twilio is at `verify_url`.
    pub async fn production(verify_url: &str) -> Self {
        let account = format!("AC{}", "a".repeat(32));
        let service = format!("VA{}", "b".repeat(32));
        Self::with(&[
            ("APP_ENV", "production"),
            ("BASE_URL", "https://login.example"),
            ("TWILIO_ACCOUNT_SID", &account),
            ("TWILIO_AUTH_TOKEN", "a-twilio-token"),
            ("TWILIO_VERIFY_SERVICE_ID", &service),
            ("TWILIO_VERIFY_BASE_URL", verify_url),
            ("SMTP_URL", "smtp://127.0.0.1:1"),
            ("TRUSTED_PROXIES", "none"),
        ])
        .await
    }

    /// A new browser, without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Moves the clock.
    pub fn advance(&self, seconds: u64) {
        self.state.clock.advance(Duration::from_secs(seconds));
    }

    /// The demo phone.
    pub fn phone(&self) -> &DemoPhone {
        self.state.demo_phone.as_ref().unwrap()
    }

    /// What the demo phone received last.
    pub fn last_message(&self) -> Message {
        self.phone()
            .messages()
            .first()
            .cloned()
            .expect("nothing was sent")
    }

    /// The code that the demo phone received last.
    pub fn last_code(&self) -> String {
        self.last_message().code
    }

    /// How many texts and calls the demo phone received.
    pub fn messages_sent(&self) -> usize {
        self.phone().messages().len()
    }

    /// Puts a mail into the demo mailbox that nobody sent.
    pub fn receive_mail(&self, id: &str, to: &str) {
        let mailbox = self.state.demo_mailbox.as_ref().unwrap();
        self.mail_read.fetch_add(1, Ordering::SeqCst);
        mailbox.receive(Mail {
            id: id.to_owned(),
            to: to.to_owned(),
            subject: "<b>Hello</b>".to_owned(),
            text: "<b>Hello</b>\n\nhttp://localhost:3000/home?a=\"&b\n".to_owned(),
            html: "<!doctype html><title>Hello</title><p style=\"color: red\">Hello".to_owned(),
            received_at: NOW,
        });
    }

    /// The mail that the demo mailbox received after the one returned last.
    /// Waits for it.
    pub async fn next_mail(&self) -> Mail {
        let mailbox = self.state.demo_mailbox.as_ref().unwrap();
        let read = self.mail_read.fetch_add(1, Ordering::SeqCst);
        let arrival = mailbox.wait_for(read + 1);
        tokio::time::timeout(Duration::from_secs(20), arrival)
            .await
            .expect("no mail came");
        let mails = mailbox.messages();
        let mail = mails[mailbox.received() - read - 1].clone();
        keep(&mail.html);
        mail
    }

    /// All mail that the demo mailbox received for an address, newest first, once
    /// everything that is queued now was sent.
    pub async fn mail_to(&self, address: &str) -> Vec<Mail> {
        self.requests_settle().await;
        let sent = async {
            while self.count("SELECT COUNT(*) FROM outbox").await > 0 {
                self.state.mail.wake();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), sent)
            .await
            .expect("the queue is stuck");
        let mails = self.state.demo_mailbox.as_ref().unwrap().messages();
        mails
            .into_iter()
            .filter(|mail| mail.to == address)
            .collect()
    }

    /// Makes an account.
    pub async fn register(&self, username: &str) {
        let email = format!("{username}@example.com");
        let page = self.browser().register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
    }

    /// Makes an account and logs it in.
    pub async fn signed_in(&self, username: &str) -> Browser {
        self.register(username).await;
        let browser = self.browser();
        browser
            .log_in(username, PASSWORD)
            .await
            .redirects_to("/home");
        browser
    }

    /// Makes an account with two-factor authentication on, logged in.
    pub async fn with_two_factor(&self, username: &str, phone: &str) -> Browser {
        let browser = self.signed_in(username).await;
        self.enable(&browser, phone).await;
        browser
    }

    /// Switches two-factor authentication on.
    pub async fn enable(&self, browser: &Browser, phone: &str) {
        browser.enable(phone).await.redirects_to("/verify_2fa");
        let page = browser.verify(&self.last_code()).await;
        assert!(page.status == 200 || page.status == 303, "{}", page.text());
    }

    /// The account as a log-in finds it whose password is right.
    pub async fn authenticated(&self, username: &str) -> User {
        let (state, client) = (&self.state, a_client());
        let claim = Claim {
            typed: username,
            username,
            signed_in: None,
            password: PASSWORD.into(),
            client: &client,
            limited_address: None,
        };
        let now = state.clock.now();
        let user = User::authenticate(&state.database, &state.passwords, claim, now).await;
        user.unwrap().expect("refused")
    }

    /// A browser in which the password was right and the code is still to come.
    pub async fn half_logged_in(&self, username: &str) -> Browser {
        let browser = self.browser();
        browser
            .log_in(username, PASSWORD)
            .await
            .redirects_to("/verify_2fa");
        browser
    }

    /// The account of that name.
    pub async fn user(&self, username: &str) -> User {
        let user = User::find_by_username(&self.state.database, username).await;
        user.unwrap().unwrap()
    }

    /// A new set of recovery codes, made behind the app's back.
    pub async fn recovery_codes(&self, username: &str) -> Vec<String> {
        let (id, now) = (self.user(username).await.id, self.state.clock.now());
        let mut connection = self.state.database.acquire().await.unwrap();
        let set = RecoveryCode::make_set(&mut connection, &id, now).await;
        let grouped = |code: &RecoveryCode| code.grouped().expose_secret().to_owned();
        set.unwrap().iter().map(grouped).collect()
    }

    /// How many recovery codes of an account are unused.
    pub async fn recovery_codes_left(&self, username: &str) -> i64 {
        let id = self.user(username).await.id;
        let mut connection = self.state.database.acquire().await.unwrap();
        RecoveryCode::left(&mut connection, &id).await.unwrap()
    }

    /// The path of a new link to a new password, as it is mailed.
    pub async fn reset_link(&self, username: &str) -> String {
        let (id, now) = (self.user(username).await.id, self.state.clock.now());
        let purpose = Purpose::ResetPassword;
        let token = MailToken::issue(&self.state.database, &id, &purpose, now).await;
        format!("/reset_password/{}", token.unwrap().expose())
    }

    /// The number in an account's row.
    pub async fn phone_of(&self, username: &str) -> Option<String> {
        sqlx::query("SELECT verification_phone FROM users WHERE username_key = $1")
            .bind(username)
            .fetch_one(&self.state.database)
            .await
            .unwrap()
            .get(0)
    }

    /// A link "This was not me" of an account, as a path.
    pub async fn not_me(&self, username: &str, event: Event, former: Option<&str>) -> String {
        let former_phone = former.map(str::to_owned);
        let purpose = Purpose::NotMe {
            event,
            former_phone,
        };
        let token = self.mailed(username, &purpose).await;
        format!("/not_me/{token}")
    }

    /// The token of a link that an account was mailed.
    pub async fn mailed(&self, username: &str, purpose: &Purpose) -> String {
        let database = &self.state.database;
        let user = User::find_by_username(database, username).await.unwrap();
        let (user, now) = (user.unwrap().id, self.state.clock.now());
        let token = MailToken::issue(database, &user, purpose, now).await;
        token.unwrap().expose().to_owned()
    }

    /// What is queued for an account and when it is due, oldest first.
    pub async fn mails(&self, username: &str) -> Vec<(outbox::Mail, i64)> {
        self.requests_settle().await;
        let rows = sqlx::query(
            "SELECT mail, next_attempt_at FROM outbox JOIN users ON users.id = user_id \
             WHERE username_key = $1 ORDER BY outbox.created_at, next_attempt_at",
        )
        .bind(username)
        .fetch_all(&self.state.database)
        .await
        .unwrap();
        let mail = |row: sqlx::any::AnyRow| {
            let mail: String = row.get(0);
            (serde_json::from_str(&mail).unwrap(), row.get(1))
        };
        rows.into_iter().map(mail).collect()
    }

    /// The notices among it.
    pub async fn notices(&self, username: &str) -> Vec<Notice> {
        let mails = self.mails(username).await.into_iter();
        mails
            .filter_map(|(mail, _)| match mail {
                outbox::Mail::Notice(notice) => Some(notice),
                outbox::Mail::ResetPassword => None,
            })
            .collect()
    }

    /// Forgets all mail, as if it had been sent: not while the worker has one in
    /// hand, and with it a link's token in the database.
    pub async fn empty_outbox(&self) {
        self.state.mail.wake();
        self.mail_settles().await;
        self.execute("DELETE FROM outbox").await;
    }

    /// Counts so many attempts against a limit.
    pub async fn fill(&self, limit: &Limit, of: &str, times: usize) {
        let (bucket, now) = ([limit.bucket(of)], self.state.clock.now());
        for _ in 0..times {
            let counted = throttle::count_alone(&self.state.database, &bucket, now).await;
            let _ = counted.unwrap().unwrap();
        }
    }

    /// How many rows a query counts.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.state.database)
            .await
            .unwrap()
    }

    /// Changes rows behind the app's back.
    pub async fn execute(&self, sql: &'static str) -> u64 {
        sqlx::query(sql)
            .execute(&self.state.database)
            .await
            .unwrap()
            .rows_affected()
    }

    /// Everything in the database as text, to see whether it changed or holds
    /// what it should not.
    pub async fn dump(&self) -> String {
        self.mail_settles().await;
        let mut text = String::new();
        for sql in [
            "SELECT id || '|' || username || '|' || email || '|' || password_hash || '|' || \
             auth_version || '|' || COALESCE(verification_phone, '-') || '|' || about_me \
             || '|' || failed_logins || '|' || COALESCE(former_phone, '-') \
             || '|' || COALESCE(unfinished_login_notice_at, 0) FROM users ORDER BY id",
            "SELECT id || '|' || user_id || '|' || mail || '|' || attempts || '|' || \
             next_attempt_at FROM outbox ORDER BY id",
            "SELECT token_hash || '|' || user_id || '|' || purpose || '|' || \
             COALESCE(event, '-') || '|' || expires_at FROM mail_tokens ORDER BY token_hash",
            "SELECT id || '|' || token_hash || '|' || COALESCE(user_id, '-') || '|' || \
             COALESCE(challenge_id, '-') || '|' || COALESCE(authenticated_at, 0) || '|' || data \
             || '|' || expires_at FROM sessions ORDER BY id",
            "SELECT id || '|' || user_id || '|' || purpose || '|' || phone || '|' || \
             COALESCE(provider_sid, '-') || '|' || delivery || '|' || sends || '|' || checks \
             || '|' || COALESCE(outcome, '-') || '|' || COALESCE(next, '-') \
             FROM challenges ORDER BY id",
            "SELECT id || '|' || user_id || '|' || event FROM activity ORDER BY id",
            "SELECT id || '|' || limit_name || '|' || bucket FROM throttle_hits ORDER BY id",
            "SELECT code_hash || '|' || user_id || '|' || COALESCE(used_at, 0) \
             FROM recovery_codes ORDER BY code_hash",
        ] {
            let rows = sqlx::query(sql)
                .fetch_all(&self.state.database)
                .await
                .unwrap();
            for row in rows {
                text.push_str(&row.get::<String, _>(0));
                text.push('\n');
            }
        }
        text
    }

    /// Waits until it is known whose every link to a new password is that was
    /// asked for.
    pub async fn requests_settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.count("SELECT COUNT(*) FROM reset_requests").await > 0 {
            assert!(Instant::now() < deadline, "nobody resolves a request");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no mail is due or in hand.
    async fn mail_settles(&self) {
        self.requests_settle().await;
        let busy = "SELECT COUNT(*) FROM outbox WHERE next_attempt_at <= $1 \
                    OR (attempts > 0 AND last_error IS NULL)";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let busy: i64 = sqlx::query_scalar(busy)
                .bind(self.state.clock.now())
                .fetch_one(&self.state.database)
                .await
                .unwrap();
            if busy == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "mail stays in hand");
            tokio::task::yield_now().await;
        }
    }

    /// The bytes of the database file and its log.
    pub fn database_bytes(&self) -> Vec<u8> {
        ["test.db", "test.db-wal"]
            .iter()
            .filter_map(|name| std::fs::read(self.folder.path().join(name)).ok())
            .flatten()
            .collect()
    }
}
