//! A request that changes something completes even if its client disconnects.

use std::panic::resume_unwind;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::Instrument;

use crate::extractors::read_body;
use crate::server::BodyTimeout;
use crate::state::AppState;

/// Runs the request in its own task once its body has arrived. Otherwise hyper would drop
/// the handler when the client disconnects: a code could be sent but not recorded. Shutdown waits
/// for all of these tasks.
pub async fn run(
    State(app): State<AppState>,
    Extension(BodyTimeout(body_timeout)): Extension<BodyTimeout>,
    request: Request,
    next: Next,
) -> Response {
    let request = match timeout(body_timeout, read_body(request)).await {
        Ok(Ok((parts, body))) => Request::from_parts(parts, Body::from(body)),
        Ok(Err(error)) => return error.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let task = app.requests.spawn(next.run(request).in_current_span());
    match task.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic), // for the layer that renders the error page
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}
