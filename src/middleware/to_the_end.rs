//! A request that changes something runs to its end, though the client hangs up.

use std::panic::resume_unwind;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

/// Runs a POST in a task of its own. hyper drops what it waits for when the
/// connection ends, and that must not part, say, a code that was sent from the
/// row that says so.
pub async fn run(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic), // to the layer that makes a page of it
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}
