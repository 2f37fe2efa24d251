//! Health checks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::state::AppState;

/// `GET /healthz`: the program is alive.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: the database accepts writes.
pub async fn readyz(State(app): State<AppState>) -> Response {
    if app.readiness.check(&app.database, &app.clock).await {
        "ok".into_response()
    } else {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}
