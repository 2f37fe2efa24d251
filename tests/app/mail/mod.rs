//! Emails: their content, the queue, the worker, SMTP and the demo mailbox.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::AnyPool;
use tokio::net::TcpListener;
use twostep::App;
use twostep::config::Config;
use twostep::models::outbox::{Mail, Notice, NoticeKind};
use twostep::models::rate_limit::Attempt;
use twostep::models::user::{NewUser, User};
use twostep::services::clock::Clock;
use twostep::services::mailer::{Email, MailError, Mailer, Settings};
use twostep::tasks::mail::MailWorker;

use crate::support::smtp::{Received, SmtpServer, Tls};
use crate::support::{NOW, PASSWORD, SECRET_KEY, TWILIO_TIMEOUT, TestDatabase};

mod content;
mod mailbox;
mod order;
mod queue;
mod smtp;
mod worker;

/// The timeout of an SMTP command in tests.
const TIMEOUT: Duration = Duration::from_millis(400);

/// A queue, a user who gets its emails, a server and a worker, which works only on request.
struct TestQueue {
    app: App,
    worker: MailWorker,
    server: SmtpServer,
    user: User,
    database: TestDatabase,
    pool: AnyPool,
}

impl TestQueue {
    async fn new() -> Self {
        let mut database = TestDatabase::new().await;
        let variables = HashMap::from([
            ("DATABASE_URL".to_owned(), database.url()),
            (SECRET_KEY.0.to_owned(), SECRET_KEY.1.to_owned()),
        ]);
        let config = Config::from_variables(&variables).unwrap();
        let app = App::build(config, Clock::manual(NOW), TWILIO_TIMEOUT)
            .await
            .unwrap();
        let url = database.url();
        let pool = database.open_beside(&app.state.database, &url).await;
        let user = create_user(&app, "alice").await;
        let server = SmtpServer::start(Tls::Never).await;
        let mut worker = app.mail_worker(3000);
        worker.mailer = mailer(&server.url(), &server);
        Self {
            app,
            worker,
            server,
            user,
            database,
            pool,
        }
    }

    async fn enqueue(&self, mail: &Mail) {
        self.enqueue_for(&self.user, mail).await;
    }

    async fn enqueue_for(&self, user: &User, mail: &Mail) {
        let state = &self.app.state;
        let mut transaction = state.database.begin().await.unwrap();
        mail.enqueue(&mut transaction, &user.id, state.clock.now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    async fn deliver_due(&self) {
        self.worker.deliver_due().await;
    }

    fn advance(&self, seconds: u64) {
        self.app.state.clock.advance(Duration::from_secs(seconds));
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&self.pool);
        count.await.unwrap()
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }

    /// The numbers of emails that the server has, of queued emails, and of links.
    async fn counts(&self) -> (usize, i64, i64) {
        let queued = self.count("SELECT COUNT(*) FROM outbox").await;
        let links = self.count("SELECT COUNT(*) FROM mail_tokens").await;
        (self.server.received().len(), queued, links)
    }
}

async fn create_user(app: &App, username: &str) -> User {
    let new = NewUser {
        username: username.to_owned(),
        email: format!("{username}@example.com"),
        password: PASSWORD.into(),
    };
    let (database, passwords) = (&app.state.database, &app.state.passwords);
    User::create(database, passwords, new, &Attempt::default(), NOW)
        .await
        .unwrap();
    let user = User::find_by_username(database, username).await;
    user.unwrap().unwrap()
}

fn settings(url: &str, server: &SmtpServer) -> Settings {
    Settings {
        url: url.into(),
        from: "Twostep <no-reply@login.example>".parse().unwrap(),
        timeout: TIMEOUT,
        roots: vec![server.certificate.clone()],
        addresses: Vec::new(),
    }
}

fn mailer(url: &str, server: &SmtpServer) -> Mailer {
    Mailer::smtp(settings(url, server)).unwrap()
}

/// A port on which nothing listens.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn email() -> Email {
    Email {
        id: "an-id".to_owned(),
        to: "alice@example.com".to_owned(),
        subject: "Hello".to_owned(),
        text: "Text, with ümlauts\n.\nand a dot".to_owned(),
        html: "<p>Page".to_owned(),
        written_at: NOW,
    }
}

fn notice(event: NoticeKind) -> Notice {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    Notice {
        address: Some("203.0.113.9".to_owned()),
        user_agent: Some(agent.to_owned()),
        ..Notice::by_operator(event, NOW)
    }
}

fn a_notice() -> Mail {
    Mail::Notice(notice(NoticeKind::PasswordChanged))
}

/// The link in an email that the server has.
fn link_in(mail: &Received) -> String {
    let body = mail.body();
    let mut words = body.split_whitespace();
    let link = words.find(|word| word.starts_with("http"));
    link.expect("no link").to_owned()
}

fn is_transient(sent: &Result<(), MailError>) -> bool {
    matches!(sent, Err(MailError::Transient(_)))
}
