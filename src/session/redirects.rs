//! Redirects between pages and the login.

use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::forms::local_path::LocalPath;
use crate::session::Session;
use crate::views::layout::MessageKind;

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

pub async fn redirect_expired(session: &Session) -> Result<Response, AppError> {
    let text = "That code has expired.";
    session.add_message(MessageKind::Info, text).await?;
    let page = match session.user() {
        Some(_) => "/home",
        None => "/login",
    };
    Ok(Redirect::to(page).into_response())
}
