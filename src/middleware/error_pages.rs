//! Renders the error page of every error response that is not HTML yet: from handlers, axum's
//! extractors and router, the other layers, and panics.

use std::any::Any;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::csrf::ProtectionError;

use crate::middleware::request_log::X_REQUEST_ID;
use crate::middleware::session::LoggedInAs;
use crate::state::AppState;
use crate::views::errors::ErrorPage;
use crate::views::layout::Layout;

/// The headers of the response that the page keeps.
const KEPT: [HeaderName; 4] = [
    header::ALLOW,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    X_REQUEST_ID,
];

/// Seconds after which to retry when the server is busy.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Replaces the body of an error response that is not HTML.
pub fn render(app: &AppState, response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_html(response.headers()) {
        return response;
    }
    let request_id = response.headers().get(X_REQUEST_ID);
    let (heading, sentence) = message(status);
    let page = ErrorPage {
        layout: Layout {
            title: heading.to_owned(),
            username: response
                .extensions()
                .get()
                .map(|LoggedInAs(name)| name.clone()),
            demo_phone: app.demo_phone.is_some(),
            demo_mailbox: app.demo_mailbox.is_some(),
            ..Layout::default()
        },
        status: status.as_u16(),
        heading: heading.to_owned(),
        sentence: sentence.to_owned(),
        request_id: request_id
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned),
    };
    let mut rendered = (status, page).into_response();
    for name in KEPT {
        for value in response.headers().get_all(&name) {
            rendered.headers_mut().append(&name, value.clone());
        }
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        rendered
            .headers_mut()
            .entry(header::RETRY_AFTER)
            .or_insert(RETRY_AFTER);
    }
    rendered
}

fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/html"))
}

/// Logs a panic, and answers it like any other error.
#[allow(clippy::needless_pass_by_value)] // the signature of the layer
pub fn handle_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(event = "panic", what = message, "handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// The response of the CSRF layer.
pub fn refuse_cross_site(error: ProtectionError) -> Response {
    tracing::warn!(event = "csrf_refused", %error, "cross-site request refused");
    StatusCode::FORBIDDEN.into_response()
}

fn message(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::FORBIDDEN => (
            "Request refused",
            "This form came from another site, so we didn't accept it. Open the page here and try again.",
        ),
        StatusCode::NOT_FOUND => (
            "Page not found",
            "This page doesn't exist. Check the address for typos.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "Method not allowed",
            "This page doesn't accept that kind of request.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "Too long",
            "The form is too long. Shorten it and send it again.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("Not a form", "This page only accepts its own form.")
        }
        StatusCode::UNPROCESSABLE_ENTITY => (
            "Invalid request",
            "We couldn't read the form. Go back and send it again.",
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "You tried too often. Wait a moment, then try again.",
        ),
        StatusCode::REQUEST_TIMEOUT => (
            "Timed out",
            "The form didn't arrive in time. Send it again.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Too busy",
            "We can't do this right now. Try again in a moment.",
        ),
        status if status.is_client_error() => ("Invalid request", "We couldn't read the request."),
        _ => (
            "Something went wrong",
            "This is our fault, not yours. Try again in a moment.",
        ),
    }
}
