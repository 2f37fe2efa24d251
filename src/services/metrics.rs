//! The program's metrics, for Prometheus. Labels are routes, countries and outcomes, never
//! user input, so the number of time series is bounded.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// The histogram's upper bounds, in seconds: from a page without a hash to a request that
/// waited for Twilio three times.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The country of numbers that have none, such as those of satellite phones.
const NO_COUNTRY: &str = "-";

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values.
type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// Values that are read when a scrape asks for them.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub hashes_waiting: usize,
    pub hashes_running: usize,
    pub connections: u32,
    pub connections_idle: usize,
    /// Queued emails, and those of them that are due. `None` if the database is down.
    pub mails: Option<(i64, i64)>,
    /// Daily budgets: the name, the used part, and the limit.
    pub budgets: Vec<(&'static str, i64, i64)>,
}

/// The metrics of one running program. Clones share their values.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    seconds: Family<Labels<2>, Histogram, fn() -> Histogram>,
    codes_sent: Family<Labels<2>, Counter>,
    codes_fallen_back: Family<Labels<1>, Counter>,
    codes_checked: Family<Labels<2>, Counter>,
    mails: Family<Labels<1>, Counter>,
    hashes_waiting: Gauge,
    hashes_running: Gauge,
    connections: Gauge,
    connections_idle: Gauge,
    database_up: Gauge,
    mails_waiting: Gauge,
    mails_due: Gauge,
    budget_used: Family<Labels<1>, Gauge>,
    budget_limit: Family<Labels<1>, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("twostep");
        let it = &mut registry;
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> _);
        it.register_with_unit("request", "Response times", Unit::Seconds, seconds.clone());
        Self(Arc::new(Inner {
            seconds,
            requests: register(it, "requests", "Responses by route and status"),
            codes_sent: register(it, "codes_sent", "Codes requested from Twilio"),
            codes_fallen_back: register(it, "codes_fallen_back", "Calls after an SMS failed"),
            codes_checked: register(it, "codes_checked", "Codes that users entered"),
            mails: register(it, "mails", "Attempts to send an email"),
            hashes_waiting: register(it, "hashes_waiting", "Password jobs that wait"),
            hashes_running: register(it, "hashes_running", "Password jobs that run"),
            connections: register(it, "database_connections", "Connections in the pool"),
            connections_idle: register(it, "database_connections_idle", "Unused connections"),
            database_up: register(it, "database_up", "1 if the database answers"),
            mails_waiting: register(it, "mails_waiting", "Queued emails"),
            mails_due: register(it, "mails_due", "Queued emails that are due"),
            budget_used: register(it, "budget_used", "Codes and calls of today, by budget"),
            budget_limit: register(it, "budget_limit", "The limit of each budget"),
            registry,
        }))
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn country(code: Option<&str>) -> (&'static str, Cow<'static, str>) {
    ("country", code.unwrap_or(NO_COUNTRY).to_owned().into())
}

impl Metrics {
    /// Counts a response. `route` is the matched route's pattern, never a path.
    pub fn count_response(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = match method {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            _ => "other",
        };
        let method = ("method", method.into());
        let route = ("route", Cow::Owned(route.unwrap_or("-").to_owned()));
        let status = ("status", status.to_string().into());
        let labels = [method.clone(), route.clone()];
        let took = took.as_secs_f64();
        self.0.seconds.get_or_create(&labels).observe(took);
        let labels = [method, route, status];
        self.0.requests.get_or_create(&labels).inc();
    }

    /// Counts a code that was requested from Twilio for a number in the country `to`.
    pub fn count_sent_code(&self, to: Option<&str>, outcome: &'static str, fell_back: bool) {
        if fell_back {
            let labels = [country(to)];
            self.0.codes_fallen_back.get_or_create(&labels).inc();
        }
        let labels = [country(to), ("outcome", outcome.into())];
        self.0.codes_sent.get_or_create(&labels).inc();
    }

    /// Counts a code that a user entered.
    pub fn count_checked_code(&self, to: Option<&str>, outcome: &'static str) {
        let labels = [country(to), ("outcome", outcome.into())];
        self.0.codes_checked.get_or_create(&labels).inc();
    }

    /// Counts an attempt to send an email.
    pub fn count_mail(&self, outcome: &'static str) {
        let labels = [("outcome", outcome.into())];
        self.0.mails.get_or_create(&labels).inc();
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self, now: Snapshot) -> Result<String, fmt::Error> {
        let it = &self.0;
        for (gauge, value) in [
            (&it.hashes_waiting, now.hashes_waiting),
            (&it.hashes_running, now.hashes_running),
            (&it.connections_idle, now.connections_idle),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        it.connections.set(now.connections.into());
        it.database_up.set(i64::from(now.mails.is_some()));
        if let Some((waiting, due)) = now.mails {
            it.mails_waiting.set(waiting);
            it.mails_due.set(due);
        }
        for (budget, used, limit) in now.budgets {
            let labels = [("budget", budget.into())];
            it.budget_used.get_or_create(&labels).set(used);
            it.budget_limit.get_or_create(&labels).set(limit);
        }
        let mut text = String::new();
        text::encode(&mut text, &it.registry)?;
        Ok(text)
    }
}
