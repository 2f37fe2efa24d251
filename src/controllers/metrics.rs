//! Metrics for Prometheus, on a separate address.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::models::outbox::Queued;
use crate::models::rate_limit::budgets;
use crate::services::metrics::{CONTENT_TYPE, Snapshot};
use crate::state::AppState;

/// `GET /metrics` at `METRICS_ADDR`
pub async fn show(State(app): State<AppState>) -> Response {
    let load = app.passwords.load();
    let now = Snapshot {
        hashes_waiting: load.waiting,
        hashes_running: load.running,
        connections: app.database.size(),
        connections_idle: app.database.num_idle(),
        mails: Queued::count(&app.database, app.clock.now()).await.ok(),
        // If this fails, the database is down, and `mails` says so.
        budgets: daily_budgets(&app).await.unwrap_or_default(),
    };
    match app.metrics.encode(now) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(event = "error", %error, "could not encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn daily_budgets(app: &AppState) -> Result<Vec<(&'static str, i64, i64)>, AppError> {
    let mut connection = app.database.acquire().await?;
    let daily_limit = app.config.sms_daily_limit.into();
    Ok(budgets(&mut connection, daily_limit, app.clock.now()).await?)
}
