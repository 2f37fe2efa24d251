//! The status of the answer to a code that was sent or not.

use axum::http::StatusCode;

use crate::models::challenge::ResendStatus;
use crate::models::factor::Delivery;
use crate::models::rate_limit::SEND_INTERVAL;
use crate::views::two_factor::TOO_MANY_WAIT;

/// The status of the answer to a delivery, and the seconds until a retry makes sense.
pub(super) fn answer_status(delivery: Delivery, resend: ResendStatus) -> (StatusCode, Option<i64>) {
    let wait = resend.wait();
    match delivery {
        Delivery::InvalidNumber | Delivery::FraudGuard | Delivery::Blocked => {
            (StatusCode::UNPROCESSABLE_ENTITY, None)
        }
        Delivery::TooMany => (StatusCode::TOO_MANY_REQUESTS, Some(TOO_MANY_WAIT)),
        Delivery::HeldBack => (StatusCode::TOO_MANY_REQUESTS, Some(wait)),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(wait.max(SEND_INTERVAL)),
        ),
    }
}
