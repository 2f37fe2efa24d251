//! Gives each request an id, and writes a log line for it.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::middleware::client_address::ClientAddress;
use crate::models::token::random_id;

/// The header with the id of a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The logged status of a request whose client disconnected before the answer, as in nginx.
pub const CLIENT_GONE: u16 = 499;

/// Routes that browsers and supervisors request by themselves.
const QUIET: [&str; 5] = [
    "/static/{*path}",
    "/dev/phone",
    "/dev/mailbox",
    "/healthz",
    "/readyz",
];

/// In bytes: longer than any registered method (UPDATEREDIRECTREF).
const MAX_METHOD: usize = 20;

/// Runs a request in a span with its id, which error pages show too. A client's own id is
/// ignored. The log names the route instead of the path, which may contain a token.
pub async fn log(request: Request, next: Next) -> Response {
    let id = random_id().unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("-", MatchedPath::as_str);
    let client = request.extensions().get::<ClientAddress>();
    let client = client.map(|client| tracing::field::display(client.0));
    let method = truncated(request.method());
    let span = tracing::info_span!("request", %id, %method, %route, client);
    let is_quiet = QUIET.contains(&route);
    let answer = async move {
        let mut line = Line {
            is_quiet,
            started: Instant::now(),
            status: None,
        };
        let mut response = next.run(request).await;
        line.status = Some(response.status().as_u16());
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

/// Writes the log line when it is dropped: hyper drops a request whose client disconnects.
struct Line {
    is_quiet: bool,
    started: Instant,
    status: Option<u16>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.status {
            Some(status) if self.is_quiet => {
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
