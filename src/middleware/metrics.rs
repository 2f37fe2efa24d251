//! Counts every answer, by the route that it was for.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::middleware::request_log::CLIENT_GONE;
use crate::services::metrics::Metrics;

/// Counts an answer and the time that it took. What matches no route of ours is counted
/// without its path, of which there is no end; what nobody waited for, with
/// [`CLIENT_GONE`].
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let mut answer = Answer {
        metrics,
        started: Instant::now(),
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        status: CLIENT_GONE,
    };
    let response = next.run(request).await;
    answer.status = response.status().as_u16();
    response
}

/// Counted when it is dropped: a request whose client has gone does not get further.
struct Answer {
    metrics: Metrics,
    started: Instant,
    method: Method,
    route: Option<MatchedPath>,
    status: u16,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let (method, route) = (self.method.as_str(), self.route.as_ref());
        let (route, took) = (route.map(MatchedPath::as_str), self.started.elapsed());
        self.metrics.answered(method, route, self.status, took);
    }
}
