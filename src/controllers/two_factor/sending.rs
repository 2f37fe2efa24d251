//! What an answer says once a code was asked for.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::controllers::signed_out;
use crate::error::AppError;
use crate::models::challenge::{Another, Challenge, Delivery};
use crate::models::rate_limit::SEND_INTERVAL;
use crate::session::Session;
use crate::state::AppState;

/// Seconds after which Twilio sends to a number again that got too many codes.
const TOO_MANY_RETRY_AFTER: i64 = 600;

/// Opens a verification in the session of somebody who is logged in, and leads
/// to its page.
pub(in crate::controllers) async fn begin(
    app: &AppState,
    session: &Session,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let issued = session
        .renew(&mut connection, None, Some(&challenge.id), now)
        .await?;
    let Some(issued) = issued else {
        return Ok(signed_out());
    };
    session.send(issued);
    Ok(Redirect::to("/verify_2fa").into_response())
}

/// The status of an answer that says how a sending ended, and after how many
/// seconds another try makes sense.
pub(super) fn status_of(delivery: Delivery, another: Another) -> (StatusCode, Option<i64>) {
    let wait = another.wait();
    match delivery {
        Delivery::InvalidNumber | Delivery::Blocked => (StatusCode::UNPROCESSABLE_ENTITY, None),
        Delivery::TooMany => (StatusCode::TOO_MANY_REQUESTS, Some(TOO_MANY_RETRY_AFTER)),
        Delivery::HeldBack => (StatusCode::TOO_MANY_REQUESTS, Some(wait)),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(wait.max(SEND_INTERVAL)),
        ),
    }
}
