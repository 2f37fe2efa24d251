//! Redirects between pages and the login.

use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::forms::local_path::LocalPath;
use crate::session::Session;
use crate::views::layout::MessageKind;
use crate::views::recovery_codes::SHOWN_ONCE;

pub const CODE_EXPIRED: &str = "That code has expired.";

/// Redirects to the form's `next` page, or home.
pub fn redirect_to_next(next: Option<&LocalPath>) -> Response {
    Redirect::to(next.map_or("/home", LocalPath::as_str)).into_response()
}

/// The path of `page`, which leads to `next` afterwards.
pub fn with_next(page: &str, next: &LocalPath) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", next.as_str())
        .finish();
    format!("{page}?{query}")
}

/// Redirects a user whose session ended while the request was running.
pub fn redirect_to_login() -> Response {
    Redirect::to(&with_next("/login", &LocalPath::home())).into_response()
}

/// Redirects with a flash message.
pub async fn redirect_with_message(
    session: &Session,
    kind: MessageKind,
    text: &str,
    path: &str,
) -> Result<Response, AppError> {
    session.add_message(kind, text).await?;
    Ok(Redirect::to(path).into_response())
}

/// Redirects a user who sent a form again after its response showed recovery codes, as a reload
/// does.
pub async fn redirect_shown_once(session: &Session) -> Result<Response, AppError> {
    redirect_with_message(session, MessageKind::Info, SHOWN_ONCE, "/recovery_codes").await
}

/// Redirects a user whose challenge is closed.
pub async fn redirect_expired(session: &Session) -> Result<Response, AppError> {
    let page = match session.user() {
        Some(_) => "/home",
        None => "/login",
    };
    redirect_with_message(session, MessageKind::Info, CODE_EXPIRED, page).await
}
