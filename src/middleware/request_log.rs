//! Gives each request an id, writes a log line for it, and counts it in the metrics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::Instrument;

use crate::middleware::client_address::ClientAddress;
use crate::services::metrics::Metrics;

/// The header with the id of a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The logged status of a request whose client disconnected before the answer, as in nginx.
const CLIENT_GONE: u16 = 499;

/// Routes that browsers and supervisors request again and again.
const QUIET: [&str; 5] = [
    "/static/{*path}",
    "/dev/phone",
    "/dev/mailbox",
    "/healthz",
    "/readyz",
];

/// Longer than the slowest request: 15 seconds to receive the form, then three requests to Twilio
/// (cancel, text, call) of 8 seconds each.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(45);

/// In bytes: longer than any registered method (UPDATEREDIRECTREF).
const MAX_METHOD: usize = 20;

/// Runs a request for at most [`REQUEST_TIMEOUT`], in a span with its id, which error pages show
/// too. An id from the client is ignored. The log names the route instead of the path, which may
/// contain a token.
pub async fn log(State(metrics): State<Option<Metrics>>, request: Request, next: Next) -> Response {
    let id = format!("{:032x}", fastrand::u128(..));
    let measured = Measured {
        metrics,
        started: Instant::now(),
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        status: None,
    };
    let (method, route) = (truncated(&measured.method), measured.route().unwrap_or("-"));
    let client = request.extensions().get::<ClientAddress>();
    let client = client.map(|client| tracing::field::display(client.0));
    let span = tracing::info_span!("request", %id, %method, %route, client);
    let answer = async move {
        let mut measured = measured; // moves it whole: alone, its status would be copied
        // `timeout` sets a timer only if the request waits, unlike tower-http's TimeoutLayer.
        let mut response = match timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        };
        measured.status = Some(response.status().as_u16());
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    };
    answer.instrument(span).await
}

/// A client may send a method of any length, but a pipe may tear a log line over 4 KiB.
fn truncated(method: &Method) -> &str {
    let name = method.as_str();
    name.get(..MAX_METHOD).unwrap_or(name)
}

/// Writes the log line and counts the response on drop: hyper drops a request whose client
/// disconnects.
struct Measured {
    /// `None` if no metrics are served.
    metrics: Option<Metrics>,
    started: Instant,
    method: Method,
    route: Option<MatchedPath>,
    status: Option<u16>,
}

impl Measured {
    fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let (route, took) = (self.route(), self.started.elapsed());
        if let Some(metrics) = &self.metrics {
            let status = self.status.unwrap_or(CLIENT_GONE);
            metrics.count_response(self.method.as_str(), route, status, took);
        }
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match self.status {
            Some(status) if route.is_some_and(|route| QUIET.contains(&route)) => {
                tracing::debug!(event = "request", status, milliseconds, "answered");
            }
            Some(status) => tracing::info!(event = "request", status, milliseconds, "answered"),
            None => tracing::info!(
                event = "request",
                status = CLIENT_GONE,
                milliseconds,
                "client disconnected"
            ),
        }
    }
}
