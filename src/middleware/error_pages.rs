//! Turns every refusal that is not a page yet into one: those of handlers, of
//! axum's extractors and router, of the other layers, and panics.

use std::any::Any;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::csrf::ProtectionError;

use crate::middleware::request_log::X_REQUEST_ID;
use crate::middleware::session::SignedIn;
use crate::state::AppState;
use crate::views::errors::ErrorPage;
use crate::views::layout::Layout;

/// What of a refusal's own headers goes on to the page.
const KEPT: [HeaderName; 4] = [
    header::ALLOW,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    X_REQUEST_ID,
];

/// Seconds after which to try again when too much is going on.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Replaces the body of a refusal that is not HTML.
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
                .map(|SignedIn(name)| name.clone()),
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

/// The last resort: a panic is logged and answered like any other error.
#[allow(clippy::needless_pass_by_value)] // the layer hands it over
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(event = "panic", what, "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// The answer of the CSRF layer.
pub fn cross_site(error: ProtectionError) -> Response {
    tracing::warn!(event = "csrf_refused", %error, "a request from another site was refused");
    StatusCode::FORBIDDEN.into_response()
}

fn message(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::FORBIDDEN => (
            "Request refused",
            "This form was sent from another site, so nothing was done. Open the page here and send it again.",
        ),
        StatusCode::NOT_FOUND => (
            "Page not found",
            "There is nothing at this address. It may have moved, or been mistyped.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "Not possible",
            "This page does not accept that kind of request.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("Too long", "What was sent is longer than any form here.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "Not a form",
            "This address takes what its form sends, and nothing else.",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => (
            "Not understood",
            "The form could not be read. Go back and send it again.",
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "That was too often. Wait a moment and try again.",
        ),
        StatusCode::REQUEST_TIMEOUT => (
            "Not in time",
            "The form did not arrive in time. Send it again.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Too busy",
            "This could not be done just now. Try again in a moment.",
        ),
        status if status.is_client_error() => ("Not understood", "The request could not be read."),
        _ => (
            "Something went wrong",
            "That was our mistake, not yours. Try again in a moment.",
        ),
    }
}
