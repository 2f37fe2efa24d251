//! A number for each request, and a line for each in the log.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::middleware::client_address::ClientAddress;
use crate::models::token::random_id;

/// What error pages and log lines call a request. Always made here: what a
/// client sends under that name is not looked at.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What pages and supervisors ask for by themselves, all the time.
const QUIET: [&str; 4] = ["/static/{*path}", "/dev/phone", "/healthz", "/readyz"];

/// Runs the request in a span with its id. The log names the route and not the
/// address: that may hold what somebody typed.
pub async fn log(mut request: Request, next: Next) -> Response {
    let id = random_id().unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str);
    let is_quiet = QUIET.contains(&route);
    let client = request.extensions().get::<ClientAddress>();
    let span = tracing::info_span!(
        "request", id, method = %request.method(), route, client = client.map(|it| tracing::field::display(it.0)),
    );
    let started = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        let milliseconds = started.elapsed().as_millis();
        if is_quiet {
            tracing::debug!(event = "request", status, milliseconds, "answered");
        } else {
            tracing::info!(event = "request", status, milliseconds, "answered");
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}
