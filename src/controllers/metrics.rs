//! For Prometheus, on an address of its own.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::models::outbox::Queued;
use crate::services::metrics::{CONTENT_TYPE, Now};
use crate::state::AppState;

/// `GET /metrics` at `METRICS_ADDR`
pub async fn show(State(app): State<AppState>) -> Response {
    let load = app.passwords.load();
    let now = Now {
        hashes_waiting: load.waiting,
        hashes_running: load.running,
        connections: app.database.size(),
        connections_idle: app.database.num_idle(),
        mails: Queued::count(&app.database, app.clock.now()).await.ok(),
    };
    match app.metrics.write(now) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(event = "error", %error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
