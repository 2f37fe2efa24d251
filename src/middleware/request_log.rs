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

/// Runs the request in a span with its id. The log names the route and not the
/// address: that may hold what somebody typed.
pub async fn log(mut request: Request, next: Next) -> Response {
    let id = random_id().unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str);
    let client = request
        .extensions()
        .get::<ClientAddress>()
        .map(|client| client.0.to_string());
    let span = tracing::info_span!(
        "request", id, method = %request.method(), route, client = client.as_deref().unwrap_or("-"),
    );
    let started = Instant::now();
    async move {
        let mut response = next.run(request).await;
        tracing::info!(
            event = "request",
            status = response.status().as_u16(),
            milliseconds = started.elapsed().as_millis(),
            "answered"
        );
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}
