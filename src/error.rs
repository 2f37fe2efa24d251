//! The errors of requests. Browsers see only a status, as a page of
//! `middleware/error_pages.rs`. Details go to the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::models::{self, with_causes};
use crate::services::totp;

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The page does not exist, or not for this visitor.
    #[error("not found")]
    NotFound,
    #[error("unreadable: {0}")]
    Unreadable(StatusCode),
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The page of an authenticator app.
    #[error(transparent)]
    Totp(#[from] totp::Error),
    #[error("session data")]
    Session(#[from] tower_sessions::session::Error),
    /// A handler needs this layer, but `routes.rs` does not add it.
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
            Self::Model(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Model(_) | Self::Totp(_) | Self::Session(_) | Self::MissingLayer(_) => {
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
                "database temporarily unavailable"
            );
        } else if status.is_server_error() {
            tracing::error!(
                event = "error",
                error = with_causes(&self),
                "request failed"
            );
        }
        status.into_response()
    }
}
