//! What goes wrong inside, typed; outside only a status, which
//! `middleware/error_pages.rs` makes a page of. Details go to the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_sessions::session::Error as SessionError;
use tower_sessions::session_store::Error as Store;

use crate::models;

/// Why a request could not be answered as it should.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such page, or not for this visitor.
    #[error("not found")]
    NotFound,
    /// What was sent is no form that can be read.
    #[error("unreadable: {0}")]
    Unreadable(StatusCode),
    /// A model could not do its work.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The data of a session could not be read or written.
    #[error("session data: {0}")]
    Session(#[from] SessionError),
    /// A layer that a handler relies on is not there: a mistake in `routes.rs`.
    #[error("the {0} layer is missing")]
    MissingLayer(&'static str),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Model(error.into())
    }
}

impl AppError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unreadable(status) => *status,
            Self::Model(error) if error.passes() => StatusCode::SERVICE_UNAVAILABLE,
            // The statements behind it are always the same and run at every log-in: what
            // fails is the database.
            Self::Session(SessionError::Store(Store::Backend(_))) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Model(_) | Self::Session(_) | Self::MissingLayer(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(event = "unavailable", error = %chain(&self), "a request was put off");
        } else if status.is_server_error() {
            tracing::error!(event = "error", error = %chain(&self), "a request failed");
        }
        status.into_response()
    }
}

/// An error with everything that caused it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
