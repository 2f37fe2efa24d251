//! Starting and restarting the app.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use twostep::App;
use twostep::config::Config;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::{BEHIND_PROXY, NOW, SECRET_KEY, TWILIO_TIMEOUT, TestApp, TestDatabase};

impl TestApp {
    /// The app without any setting, as after a clone.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The app with these settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::with_timeout(settings, TWILIO_TIMEOUT).await
    }

    /// The app with these settings and this timeout for Twilio.
    pub async fn with_timeout(settings: &[(&str, &str)], timeout: Duration) -> Self {
        let database = TestDatabase::new().await;
        let limits = Limits::default();
        Self::on(database, settings, Clock::manual(NOW), timeout, limits).await
    }

    /// The app with these limits of connections.
    pub async fn with_limits(limits: Limits) -> Self {
        let database = TestDatabase::new().await;
        Self::on(database, &[], Clock::manual(NOW), TWILIO_TIMEOUT, limits).await
    }

    /// The app on SQLite, even if the other tests run on PostgreSQL.
    pub async fn on_sqlite() -> Self {
        let (database, limits) = (TestDatabase::sqlite(), Limits::default());
        Self::on(database, &[], Clock::manual(NOW), TWILIO_TIMEOUT, limits).await
    }

    /// The app on a database that may contain rows.
    pub async fn on(
        mut database: TestDatabase,
        settings: &[(&str, &str)],
        clock: Clock,
        timeout: Duration,
        limits: Limits,
    ) -> Self {
        let mut variables = HashMap::from([("DATABASE_URL".to_owned(), database.url())]);
        for (name, value) in [&[SECRET_KEY], settings].concat() {
            variables.insert(name.to_owned(), value.to_owned());
        }
        let config = Config::from_variables(&variables).unwrap();
        let mut app = App::build(config, clock, timeout).await.unwrap();
        // On a busy machine the purge could delete rows of a slow test.
        app.purge.start = Duration::MAX;
        let url = &variables["DATABASE_URL"];
        let pool = database.open_beside(&app.state.database, url).await;
        let (state, routes) = (app.state.clone(), app.routes.clone());
        let metrics = app.metrics_address();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await; // the test has ended
            }
        };
        let served =
            tokio::spawn(async move { app.serve(listener, limits, shutdown).await.unwrap() });
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

    /// Stops the app, and starts another one with these settings on its database.
    pub async fn restarted(self, settings: &[(&str, &str)]) -> Self {
        let now = self.state.clock.now();
        self.restarted_at(now, settings).await
    }

    /// The same at another time.
    pub async fn restarted_at(self, now: i64, settings: &[(&str, &str)]) -> Self {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        let clock = Clock::manual(now);
        let limits = Limits::default();
        Self::on(self.database, settings, clock, TWILIO_TIMEOUT, limits).await
    }

    /// The app behind a proxy, so that browsers can have any address.
    pub async fn behind_proxy() -> Self {
        Self::with(&[BEHIND_PROXY]).await
    }

    /// The app with an unreachable mail server, so that emails stay in the outbox.
    pub async fn keeping_mail() -> Self {
        Self::with(&[("SMTP_URL", "smtp://127.0.0.1:1")]).await
    }

    /// The app in production without `SECRET_KEY`.
    pub async fn production_without_key() -> Self {
        Self::in_production("http://127.0.0.1:9", ("SECRET_KEY", "")).await
    }

    /// The app in production, with Twilio at `verify_url`.
    pub async fn production(verify_url: &str) -> Self {
        Self::in_production(verify_url, SECRET_KEY).await
    }

    async fn in_production(verify_url: &str, key: (&str, &str)) -> Self {
        Self::with(&[
            key,
            ("APP_ENV", "production"),
            ("BASE_URL", "https://login.example"),
            ("TWILIO_ACCOUNT_SID", "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("TWILIO_AUTH_TOKEN", "a-twilio-token"),
            (
                "TWILIO_VERIFY_SERVICE_ID",
                "VAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            ),
            ("TWILIO_VERIFY_BASE_URL", verify_url),
            ("SMTP_URL", "smtp://127.0.0.1:1"),
            ("SMS_COUNTRIES", "all"),
            ("TRUSTED_PROXIES", "none"),
        ])
        .await
    }
}
