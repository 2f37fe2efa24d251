//! Starting an app, and starting it again.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use twostep::App;
use twostep::config::Config;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::{BEHIND_PROXY, NOW, TWILIO_TIMEOUT, TestApp, TestDatabase};

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
        let database = TestDatabase::new().await;
        let limits = Limits::default();
        Self::on(database, settings, Clock::manual(NOW), timeout, limits).await
    }

    /// The app with these limits of the wire.
    pub async fn with_limits(limits: Limits) -> Self {
        let database = TestDatabase::new().await;
        Self::on(database, &[], Clock::manual(NOW), TWILIO_TIMEOUT, limits).await
    }

    /// The app on SQLite, whatever the other tests run on.
    pub async fn on_sqlite() -> Self {
        let (database, limits) = (TestDatabase::sqlite(), Limits::default());
        Self::on(database, &[], Clock::manual(NOW), TWILIO_TIMEOUT, limits).await
    }

    /// The app on a database, in which another may have left something.
    pub async fn on(
        mut database: TestDatabase,
        settings: &[(&str, &str)],
        clock: Clock,
        timeout: Duration,
        limits: Limits,
    ) -> Self {
        let mut variables = HashMap::from([("DATABASE_URL".to_owned(), database.url())]);
        for (name, value) in settings {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let config = Config::from_variables(&variables).unwrap();
        let mut app = App::build(config, clock, timeout).await.unwrap();
        // A test that takes long on a busy machine must not find its rows gone.
        app.purge.start = Duration::MAX;
        let url = &variables["DATABASE_URL"];
        let pool = database.beside(&app.state.database, url).await;
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
            database,
            pool,
            mail_read: AtomicUsize::new(0),
            stop,
            served,
        }
    }

    /// Ends the app, and starts another with these settings on its database.
    pub async fn restarted(self, settings: &[(&str, &str)]) -> Self {
        let now = self.state.clock.now();
        self.restarted_at(now, settings).await
    }

    /// The same at another time: earlier, where the clock was ahead.
    pub async fn restarted_at(self, now: i64, settings: &[(&str, &str)]) -> Self {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        let clock = Clock::manual(now);
        let limits = Limits::default();
        Self::on(self.database, settings, clock, TWILIO_TIMEOUT, limits).await
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
            ("SMS_COUNTRIES", "all"),
            ("TRUSTED_PROXIES", "none"),
        ])
        .await
    }
}
