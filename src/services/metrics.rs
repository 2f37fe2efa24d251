//! What the program counts about itself, in the words of Prometheus. Labels are routes
//! of ours, countries and outcomes, never what somebody sent: there is a set number of
//! them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// Upper ends of the histogram, in seconds: from a page without a hash to a request that
/// waited for Twilio three times.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Where numbers of no country count, those of satellite phones for instance.
const NO_COUNTRY: &str = "-";

/// The content type of [`Metrics::write`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    country: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Country {
    country: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What is read only when somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// Hashes that wait for a core.
    pub hashes_waiting: usize,
    /// Hashes that have one.
    pub hashes_running: usize,
    /// Connections to the database, and those of them that nobody uses.
    pub connections: u32,
    /// See `connections`.
    pub connections_idle: usize,
    /// Mails that are not sent yet and those of them that are due; none where the
    /// database does not answer.
    pub mails: Option<(i64, i64)>,
    /// Daily budgets: the name, what is used today, and how much there is.
    pub budgets: Vec<(&'static str, i64, i64)>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Budget {
    budget: &'static str,
}

/// The counters of one running program. Clones are the same.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Inner {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    sent: Family<Code, Counter>,
    fallen_back: Family<Country, Counter>,
    checked: Family<Code, Counter>,
    mails: Family<Outcome, Counter>,
    hashes_waiting: Gauge,
    hashes_running: Gauge,
    connections: Gauge,
    connections_idle: Gauge,
    database_up: Gauge,
    mails_waiting: Gauge,
    mails_due: Gauge,
    budget_used: Family<Budget, Gauge>,
    budget_limit: Family<Budget, Gauge>,
}

impl Default for Inner {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("twostep");
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register_with_unit(
            "request",
            "How long answering took",
            Unit::Seconds,
            seconds.clone(),
        );
        let mut told = Told(&mut registry);
        Self {
            requests: told.of("requests", "Answers by route and status"),
            sent: told.of("codes_sent", "Codes asked of Twilio"),
            fallen_back: told.of("codes_fallen_back", "Calls in place of an SMS that failed"),
            checked: told.of("codes_checked", "Codes that were entered"),
            mails: told.of("mails", "Attempts to send a mail"),
            hashes_waiting: told.of("hashes_waiting", "Passwords that wait for a core"),
            hashes_running: told.of("hashes_running", "Passwords being hashed or judged"),
            connections: told.of("database_connections", "Connections in the pool"),
            connections_idle: told.of("database_connections_idle", "Those that nobody uses"),
            database_up: told.of("database_up", "1 if the database answers"),
            mails_waiting: told.of("mails_waiting", "Mails in the queue"),
            mails_due: told.of("mails_due", "Those that should be sent by now"),
            budget_used: told.of("budget_used", "Codes and calls of today, by budget"),
            budget_limit: told.of("budget_limit", "How many there may be"),
            seconds,
            registry,
        }
    }
}

/// Makes metrics that the registry tells of.
struct Told<'a>(&'a mut Registry);

impl Told<'_> {
    fn of<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

fn country(code: Option<&str>) -> String {
    code.unwrap_or(NO_COUNTRY).to_owned()
}

impl Metrics {
    /// A request was answered. `route` is one of the app's or [`None`], never a path.
    pub fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = match method {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            _ => "other",
        };
        let route = route.unwrap_or("-").to_owned();
        let of = Route {
            method,
            route: route.clone(),
        };
        self.0
            .seconds
            .get_or_create(&of)
            .observe(took.as_secs_f64());
        let request = Request {
            method,
            route,
            status,
        };
        self.0.requests.get_or_create(&request).inc();
    }

    /// Twilio was asked to send a code.
    pub fn code_sent(&self, to: Option<&str>, outcome: &'static str, fell_back: bool) {
        let country = country(to);
        if fell_back {
            let country = country.clone();
            self.0.fallen_back.get_or_create(&Country { country }).inc();
        }
        self.0.sent.get_or_create(&Code { country, outcome }).inc();
    }

    /// A code was entered.
    pub fn code_checked(&self, to: Option<&str>, outcome: &'static str) {
        let country = country(to);
        let code = Code { country, outcome };
        self.0.checked.get_or_create(&code).inc();
    }

    /// It was tried to send a mail.
    pub fn mail(&self, outcome: &'static str) {
        self.0.mails.get_or_create(&Outcome { outcome }).inc();
    }

    /// Everything as text, with what is so `now`.
    pub fn write(&self, now: Now) -> Result<String, fmt::Error> {
        let number = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        let it = &self.0;
        it.hashes_waiting.set(number(now.hashes_waiting));
        it.hashes_running.set(number(now.hashes_running));
        it.connections.set(now.connections.into());
        it.connections_idle.set(number(now.connections_idle));
        it.database_up.set(i64::from(now.mails.is_some()));
        if let Some((waiting, due)) = now.mails {
            it.mails_waiting.set(waiting);
            it.mails_due.set(due);
        }
        for (budget, used, limit) in now.budgets {
            let label = Budget { budget };
            it.budget_used.get_or_create(&label).set(used);
            it.budget_limit.get_or_create(&label).set(limit);
        }
        let mut written = String::new();
        text::encode(&mut written, &it.registry)?;
        Ok(written)
    }
}
