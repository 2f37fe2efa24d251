//! Sending the code of an open challenge again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::sending::answer_status;
use super::verify::verify_page;
use crate::controllers::refusal;
use crate::error::AppError;
use crate::extractors::{Page, Pending};
use crate::forms::Errors;
use crate::models::challenge::{Challenge, ResendRefused, ResendStatus};
use crate::models::client::Client;
use crate::models::factor::SendMethod;
use crate::models::rate_limit::SEND_INTERVAL;
use crate::session::Session;
use crate::session::redirects::redirect_expired;
use crate::state::AppState;
use crate::views::two_factor::explain_resend_status;

/// `POST /verify_2fa/resend`
pub async fn resend(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, &client, challenge, SendMethod::Any).await
}

/// `POST /verify_2fa/call`: calls instead of sending an SMS.
pub async fn call(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, &client, challenge, SendMethod::Call).await
}

async fn send_again(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: Challenge,
    method: SendMethod,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let sender = app.code_sender(challenge.phone(), client);
    let sent = challenge.resend(&sender, method, now).await;
    match sent {
        Ok(delivery) if delivery.may_have_arrived() => {
            Ok(Redirect::to("/verify_2fa").into_response())
        }
        // The page shows the result anyway.
        Ok(delivery) => {
            let (status, retry_after) = answer_status(delivery, ResendStatus::Soon(SEND_INTERVAL));
            let challenge = Challenge::find_open(&app.database, &challenge.id, now).await?;
            let Some(mut challenge) = challenge else {
                return redirect_expired(session).await;
            };
            // An earlier code stays valid, but the page says what happened to this one.
            if let Some(verification) = &mut challenge.verification {
                verification.delivery = delivery;
            }
            let page = verify_page(app, page, client, &challenge, Errors::default()).await?;
            Ok(refusal(status, retry_after, page))
        }
        Err(ResendRefused::NoPhone) => Ok(Redirect::to("/verify_2fa").into_response()),
        Err(ResendRefused::NotNow(resend)) => {
            let errors = explain_resend_status(resend, challenge.purpose).into_errors();
            let retry_after = match resend {
                ResendStatus::NoMoreCodes | ResendStatus::NoMoreCalls => challenge.expires_in(now),
                _ => resend.wait(),
            };
            let page = verify_page(app, page, client, &challenge, errors).await?;
            let status = StatusCode::TOO_MANY_REQUESTS;
            Ok(refusal(status, Some(retry_after), page))
        }
        Err(ResendRefused::Gone) => redirect_expired(session).await,
        Err(ResendRefused::Other(error)) => Err(error.into()),
    }
}
