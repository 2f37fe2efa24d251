//! The actions, one file a feature: extract, then form, then model or service,
//! then view or redirect.

pub mod assets;
pub mod auth;
pub mod health;
pub mod metrics;
pub mod not_me;
mod page_cookie;
pub mod password;
pub mod profile;
pub mod recovery_codes;
pub mod security;
pub mod two_factor;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::forms::Errors;
use crate::forms::local_path::LocalPath;
use crate::middleware::access::with_next;
use crate::models::challenge::Challenge;
use crate::models::rate_limit::RateLimitExceeded;
use crate::state::AppState;
use crate::views;

/// The answer to a form that was not filled in right: the form again.
fn unprocessable(page: impl IntoResponse) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// A page with the status of a refusal, and when to try again.
fn refusal(status: StatusCode, retry_after: Option<i64>, page: impl IntoResponse) -> Response {
    let mut response = (status, page).into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The answer to an attempt that a limit refuses: the form again, which says why.
fn too_many(exceeded: RateLimitExceeded, page: impl IntoResponse) -> Response {
    let retry_after = Some(exceeded.retry_after);
    refusal(StatusCode::TOO_MANY_REQUESTS, retry_after, page)
}

/// The form's error when a limit is exceeded.
fn too_many_errors(exceeded: RateLimitExceeded) -> Errors {
    Errors::one("form", views::exceeded(exceeded))
}

/// To where a form was to lead, or home.
fn redirect_to_next(next: Option<&LocalPath>) -> Response {
    Redirect::to(next.map_or("/home", LocalPath::as_str)).into_response()
}

/// To the log-in, for somebody whose session ended while the request was under
/// way.
fn signed_out() -> Response {
    Redirect::to(&with_next("/login", &LocalPath::home())).into_response()
}

/// Takes back at Twilio what was closed here, so that the next verification gets a
/// code of its own.
async fn cancel_at_twilio(
    app: &AppState,
    closed: Vec<Challenge>,
    now: i64,
) -> Result<(), AppError> {
    for challenge in closed {
        challenge
            .cancel_at_twilio(&app.database, &app.verify, now)
            .await?;
    }
    Ok(())
}
