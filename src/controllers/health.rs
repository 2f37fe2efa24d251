//! For whoever watches the program: is it alive, and can it work?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::models;
use crate::state::AppState;

/// `GET /healthz`: the program answers.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: the database answers too.
pub async fn readyz(State(app): State<AppState>) -> Response {
    match models::ping(&app.database).await {
        Ok(()) => "ok".into_response(),
        Err(error) => {
            tracing::warn!(event = "not_ready", %error, "the database does not answer");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
