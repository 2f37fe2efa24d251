//! Sending the code of an open verification again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::sending::status_of;
use super::verify::verify_page;
use crate::controllers::refusal;
use crate::error::AppError;
use crate::extractors::{Page, Pending};
use crate::forms::Errors;
use crate::middleware::access::expired;
use crate::models::challenge::{Challenge, Delivery, ResendRefused, Way};
use crate::models::limits::SEND_INTERVAL;
use crate::session::Session;
use crate::state::AppState;
use crate::views::two_factor::not_delivered;

/// `POST /verify_2fa/resend`
pub async fn resend(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, challenge, Way::Any).await
}

/// `POST /verify_2fa/call`: "call me instead".
pub async fn call(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, challenge, Way::Call).await
}

async fn send_again(
    app: &AppState,
    session: &Session,
    page: &Page,
    mut challenge: Challenge,
    way: Way,
) -> Result<Response, AppError> {
    let (now, unlimited) = (app.clock.now(), app.is_unlimited(&challenge.phone));
    let sent = challenge
        .resend(&app.database, &app.verify, way, unlimited, now)
        .await;
    let (status, sentence, retry_after) = match sent {
        Err(ResendRefused::Gone) => return expired(session).await,
        Err(ResendRefused::Other(error)) => return Err(error.into()),
        Ok(delivery) if delivery.may_have_arrived() => {
            return Ok(Redirect::to("/verify_2fa").into_response());
        }
        // How it ended stands on the page anyway.
        Ok(delivery) => {
            challenge.delivery = delivery;
            let (status, retry_after) = status_of(delivery, SEND_INTERVAL);
            let page = verify_page(app, page, &challenge, Errors::default()).await?;
            return Ok(refusal(status, retry_after, page));
        }
        Err(ResendRefused::Wait(seconds)) => {
            let sentence = not_delivered(Delivery::HeldBack, seconds);
            (StatusCode::TOO_MANY_REQUESTS, sentence, seconds)
        }
        Err(ResendRefused::NoMoreSends) => {
            let sentence = "No more codes can be sent this time. Cancel and begin again.";
            (
                StatusCode::TOO_MANY_REQUESTS,
                sentence.to_owned(),
                challenge.ends_in(now),
            )
        }
        Err(ResendRefused::NoMoreCalls) => {
            let sentence = "We have called you once already. Ask for a text instead.";
            (
                StatusCode::TOO_MANY_REQUESTS,
                sentence.to_owned(),
                challenge.ends_in(now),
            )
        }
    };
    let page = verify_page(app, page, &challenge, Errors::one("form", sentence)).await?;
    Ok(refusal(status, Some(retry_after), page))
}
