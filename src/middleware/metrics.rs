//! Counts every answer, by the route that it was for.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::services::metrics::Metrics;

/// Counts an answer and the time that it took. What matches no route of ours is counted
/// without its path, of which there is no end.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let (route, status) = (route.as_ref().map(MatchedPath::as_str), response.status());
    metrics.answered(method.as_str(), route, status.as_u16(), started.elapsed());
    response
}
