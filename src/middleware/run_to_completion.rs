//! A request that changes something runs to its end, though the client hangs up.

use std::panic::resume_unwind;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::Instrument;

use crate::extractors::whole;
use crate::server::BodyTime;
use crate::state::AppState;

/// Runs a POST in a task of its own, once all of it is here. hyper drops what it waits
/// for when the connection ends, and that must not part, say, a code that was sent from
/// the row that says so. A request that never gets whole has begun nothing: it is
/// dropped, and holds nothing up. The app ends after all of these tasks.
pub async fn run(
    State(app): State<AppState>,
    Extension(BodyTime(time)): Extension<BodyTime>,
    request: Request,
    next: Next,
) -> Response {
    let request = match timeout(time, whole(request)).await {
        Ok(Ok((parts, body))) => Request::from_parts(parts, Body::from(body)),
        Ok(Err(refused)) => return refused.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let under_way = app.under_way.subscribe();
    let work = async move {
        let response = next.run(request).await;
        drop(under_way);
        response
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic), // to the layer that makes a page of it
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}
