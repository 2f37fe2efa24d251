//! What goes wrong inside, typed; outside only a status, which
//! `middleware/error_pages.rs` makes a page of. Details go to the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_sessions::session::Error as SessionError;
use tower_sessions::session_store::Error as Store;

use crate::models::{self, with_causes};

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
    #[error("session data")]
    Session(#[from] SessionError),
    /// A layer that a handler relies on is not there: a mistake in `routes.rs`.
    #[error("the {0} layer is missing")]
    MissingLayer(&'static str),
}

/// What the text of an error that passes begins with in [`into_store_error`].
const PASSES: &str = "not just now: ";

/// A database's error as one of tower-sessions' stores, which holds nothing but a text:
/// [`AppError`] must still know whether it passes.
pub fn into_store_error(error: &models::Error) -> Store {
    let passes = if error.is_transient() { PASSES } else { "" };
    Store::Backend(format!("{passes}{}", error.with_causes()))
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
            Self::Model(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Session(SessionError::Store(Store::Backend(text)))
                if text.starts_with(PASSES) =>
            {
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
            tracing::warn!(
                event = "unavailable",
                error = with_causes(&self),
                "a request was put off"
            );
        } else if status.is_server_error() {
            tracing::error!(
                event = "error",
                error = with_causes(&self),
                "a request failed"
            );
        }
        status.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error: sqlx::Error) -> StatusCode {
        let error = into_store_error(&error.into());
        AppError::from(SessionError::from(error)).status()
    }

    #[test]
    fn what_passes_elsewhere_passes_in_the_sessions_store() {
        assert_eq!(status(sqlx::Error::PoolTimedOut), 503);
        assert_eq!(status(sqlx::Error::RowNotFound), 500);
    }
}
