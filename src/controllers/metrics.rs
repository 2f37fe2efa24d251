//! For Prometheus, on an address of its own.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::models::outbox::Queued;
use crate::models::rate_limit::budgets;
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
        // The database's outage shows by itself.
        budgets: daily_budgets(&app).await.unwrap_or_default(),
    };
    match app.metrics.write(now) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(event = "error", %error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn daily_budgets(app: &AppState) -> Result<Vec<(&'static str, i64, i64)>, AppError> {
    let mut connection = app.database.acquire().await?;
    let daily_limit = app.config.sms_daily_limit.into();
    Ok(budgets(&mut connection, daily_limit, app.clock.now()).await?)
}
