//! For whoever watches the program: is it alive, and can it work?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::state::AppState;

/// `GET /healthz`: the program answers.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: the database answers too, and takes what is written.
pub async fn readyz(State(app): State<AppState>) -> Response {
    if app.readiness.check(&app.database, &app.clock).await {
        "ok".into_response()
    } else {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}
