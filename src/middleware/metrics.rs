//! Counts every response by its route.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::middleware::request_log::CLIENT_GONE;
use crate::services::metrics::Metrics;

/// Counts a response and its time. A request that matches no route is counted without its
/// path, and one whose client has gone with the status [`CLIENT_GONE`].
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let mut measured = Measured {
        metrics,
        started: Instant::now(),
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        status: CLIENT_GONE,
    };
    let response = next.run(request).await;
    measured.status = response.status().as_u16();
    response
}

/// Counts on drop, since the future of a request is dropped when its client has gone.
struct Measured {
    metrics: Metrics,
    started: Instant,
    method: Method,
    route: Option<MatchedPath>,
    status: u16,
}

impl Drop for Measured {
    fn drop(&mut self) {
        let (method, route) = (self.method.as_str(), self.route.as_ref());
        let (route, took) = (route.map(MatchedPath::as_str), self.started.elapsed());
        self.metrics
            .count_response(method, route, self.status, took);
    }
}
