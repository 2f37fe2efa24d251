//! The actions. Each extracts, validates its form, calls a model or service, and renders a view
//! or redirects.

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
use crate::models::factor::{End, Verification};
use crate::models::rate_limit::RateLimitExceeded;
use crate::session::Session;
use crate::session::redirects::{redirect_to_login, redirect_to_next, redirect_with_message};
use crate::state::AppState;
use crate::views;
use crate::views::layout::MessageKind;

/// The response to an invalid form: the form again.
fn unprocessable(page: impl IntoResponse) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// A page with an error status and an optional `Retry-After`.
fn refusal(status: StatusCode, retry_after: Option<i64>, page: impl IntoResponse) -> Response {
    let mut response = (status, page).into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The response to an attempt over a limit: the form again, with the reason.
fn too_many(exceeded: RateLimitExceeded, page: impl IntoResponse) -> Response {
    let retry_after = Some(exceeded.retry_after);
    refusal(StatusCode::TOO_MANY_REQUESTS, retry_after, page)
}

/// The form's error when a limit is exceeded.
fn too_many_errors(exceeded: RateLimitExceeded) -> Errors {
    let sentence = views::describe_exceeded(exceeded);
    Errors::one("form", sentence).with_wait(Some(exceeded.retry_after))
}

/// Redirects to the page of a challenge that was just opened.
fn redirect_to_challenge(with_recovery_code: bool) -> Response {
    Redirect::to(match with_recovery_code {
        true => "/verify_2fa/recovery",
        false => "/verify_2fa",
    })
    .into_response()
}

/// Redirects to a user's profile with a flash message.
async fn redirect_to_profile(
    session: &Session,
    kind: MessageKind,
    text: &str,
    username: &str,
) -> Result<Response, AppError> {
    redirect_with_message(session, kind, text, &format!("/user/{username}")).await
}

/// Ends the verifications of closed challenges, here and at Twilio, so that the next challenge
/// gets a new code.
async fn end_verifications(
    app: &AppState,
    verifications: Vec<String>,
    now: i64,
) -> Result<(), AppError> {
    for id in verifications {
        Verification::end(&app.database, &app.verify, &id, End::Canceled, now).await?;
    }
    Ok(())
}
