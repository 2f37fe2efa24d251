//! Mail: how it is written, queued and sent, and the demo mailbox.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::AnyPool;
use twostep::App;
use twostep::config::Config;
use twostep::models::outbox::{Mail, Notice, NoticeKind};
use twostep::models::rate_limit::Attempt;
use twostep::models::user::{NewUser, User};
use twostep::services::clock::Clock;
use twostep::services::mailer::{Email, Mailer, SendError, Settings};
use twostep::state::AppState;
use twostep::tasks::mail::MailWorker;

use crate::support::smtp::{Received, SmtpServer};
use crate::support::{NOW, PASSWORD, PATIENCE, TWILIO_TIMEOUT, TestDatabase};

mod connections;
mod content;
mod mailbox;
mod order;
mod queue;
mod shutdown;
mod smtp;

/// How long the mailer waits in tests.
const TIMEOUT: Duration = Duration::from_millis(400);

/// A queue with somebody to write to. Nothing works on it but the test.
struct Office {
    app: App,
    worker: MailWorker,
    user: User,
    database: TestDatabase,
    pool: AnyPool,
}

impl Office {
    /// The office whose mail goes to this server.
    async fn new(server: &SmtpServer) -> Self {
        let mut database = TestDatabase::new().await;
        let variables = HashMap::from([("DATABASE_URL".to_owned(), database.url())]);
        let config = Config::from_variables(&variables).unwrap();
        let app = App::build(config, Clock::manual(NOW), TWILIO_TIMEOUT)
            .await
            .unwrap();
        let url = database.url();
        let pool = database.beside(&app.state.database, &url).await;
        let state = &app.state;
        let user = create(state, "alice").await;
        let mut worker = app.mail_worker(3000);
        worker.mailer = mailer(&format!("smtp://127.0.0.1:{}", server.port), server).unwrap();
        Self {
            app,
            worker,
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

    fn advance(&self, seconds: u64) {
        self.app.state.clock.advance(Duration::from_secs(seconds));
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&self.pool);
        count.await.unwrap()
    }

    async fn queued(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM outbox").await
    }

    async fn tokens(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM mail_tokens").await
    }
}

async fn create(state: &AppState, username: &str) -> User {
    let new = NewUser {
        username: username.to_owned(),
        email: format!("{username}@example.com"),
        password: PASSWORD.into(),
    };
    User::create(
        &state.database,
        &state.passwords,
        new,
        &Attempt::default(),
        NOW,
    )
    .await
    .unwrap();
    let user = User::find_by_username(&state.database, username).await;
    user.unwrap().unwrap()
}

/// A mailer that waits for longer than a test.
fn patient_mailer(server: &SmtpServer) -> Mailer {
    let settings = Settings {
        url: format!("smtp://127.0.0.1:{}", server.port).into(),
        from: "Twostep <no-reply@login.example>".parse().unwrap(),
        timeout: 10 * PATIENCE,
        roots: Vec::new(),
    };
    Mailer::smtp(settings).unwrap()
}

fn mailer(url: &str, server: &SmtpServer) -> Result<Mailer, twostep::services::mailer::Error> {
    Mailer::smtp(Settings {
        url: url.into(),
        from: "Twostep <no-reply@login.example>".parse().unwrap(),
        timeout: TIMEOUT,
        roots: vec![server.certificate.clone()],
    })
}

/// A mail as the worker would write it.
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
    Notice {
        event,
        at: NOW,
        address: Some("203.0.113.9".to_owned()),
        user_agent: Some(
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        ),
        former_phone: None,
        recovery_codes_left: None,
        former_username: None,
    }
}

/// The link in a mail as the server got it.
fn link_in(mail: &Received) -> String {
    let body = mail.body();
    let links = body.split_whitespace().filter(|it| it.starts_with("http"));
    links.map(str::to_owned).next().expect("no link")
}

fn is_temporary(sent: &Result<(), SendError>) -> bool {
    matches!(sent, Err(SendError::Temporary(_)))
}
