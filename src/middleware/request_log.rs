//! A number and an end for each request, and a line for each in the log.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tower::Service;
use tracing::Instrument;

use crate::middleware::client_address::ClientAddress;
use crate::models::token::random_id;

/// Longer than the slowest page: a form that takes its fifteen seconds to arrive, and a
/// code that Twilio is asked to cancel, to text and then to call with, at eight each.
pub const TIMEOUT: Duration = Duration::from_secs(45);

/// What carries the number of a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is told in place of a status where there was nobody to answer, as nginx does.
pub const CLIENT_GONE: u16 = 499;

/// What pages and supervisors ask for by themselves, all the time.
const QUIET: [&str; 4] = ["/static/{*path}", "/dev/phone", "/healthz", "/readyz"];

/// In bytes: longer than any method that is registered (UPDATEREDIRECTREF).
const LONGEST_METHOD: usize = 20;

/// Runs each request, for [`TIMEOUT`] at most, in a span with its id, which error pages show
/// as well. It is always made here: what a client sends under that name is not looked at.
/// The log names the route and not the address: that may hold what somebody typed.
///
/// A service, and not a function for `from_fn`, which would copy what is below it for each
/// request.
#[derive(Clone)]
pub struct RequestLog<S>(pub S);

impl<S> Service<Request> for RequestLog<S>
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let id = random_id().unwrap_or_default();
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("-", MatchedPath::as_str);
        let client = request.extensions().get::<ClientAddress>();
        let span = tracing::info_span!(
            "request", %id, method = %short(request.method()), %route, client = client.map(|it| tracing::field::display(it.0)),
        );
        let line = Line {
            is_quiet: QUIET.contains(&route),
            started: Instant::now(),
            status: None,
        };
        let answer = span.in_scope(|| self.0.call(request));
        let logged = async move {
            let mut line = line;
            // Sets a timer only for a request that waits for something.
            let mut response = match timeout(TIMEOUT, answer).await {
                Ok(answer) => answer?.into_response(),
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            };
            line.status = Some(response.status().as_u16());
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(X_REQUEST_ID, value);
            }
            Ok(response)
        };
        Box::pin(logged.instrument(span))
    }
}

/// A method as the log names it. A client may make one up that is as long as a head may be,
/// and a line that is longer than a pipe takes at once could be torn by another.
fn short(method: &Method) -> &str {
    let name = method.as_str();
    name.get(..LONGEST_METHOD).unwrap_or(name)
}

/// What a request leaves in the log: also one whose client has gone before its answer,
/// and which is dropped for that.
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
                "nobody waited for the answer"
            ),
        }
    }
}
