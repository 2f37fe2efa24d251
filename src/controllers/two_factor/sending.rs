//! Opening a challenge for a logged-in user, and the status of the answer.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::controllers::redirect_to_login;
use crate::error::AppError;
use crate::models::challenge::{Challenge, Delivery, ResendStatus};
use crate::models::rate_limit::SEND_INTERVAL;
use crate::session::Session;
use crate::state::AppState;

/// Twilio sends no code for so many seconds to a number that got too many.
const TOO_MANY_RETRY_AFTER: i64 = 600;

/// Opens a challenge in the session of a logged-in user and redirects to its page.
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
        return Ok(redirect_to_login());
    };
    session.send(issued);
    Ok(Redirect::to("/verify_2fa").into_response())
}

/// The status of the answer to a delivery, and the seconds until a retry makes sense.
pub(super) fn answer_status(delivery: Delivery, resend: ResendStatus) -> (StatusCode, Option<i64>) {
    let wait = resend.wait();
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
