//! Entering a code: the second half of a log-in, of a re-authentication, and of
//! enabling.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::finish::finish;
use super::sending::{refusal, status_of};
use crate::controllers::{onwards, signed_out};
use crate::error::AppError;
use crate::extractors::{Form, Page, Pending};
use crate::forms::Errors;
use crate::forms::two_factor::VerifyForm;
use crate::middleware::access::expired;
use crate::models::challenge::{
    Challenge, Delivery, Outcome, Purpose, Refused, ResendRefused, SEND_INTERVAL, Way,
};
use crate::models::session::SessionRow;
use crate::session::Session;
use crate::state::AppState;
use crate::views::two_factor::{VerifyPage, not_delivered};

const EXPIRED: &str = "That code has expired.";
const EXPIRED_ASK_AGAIN: &str = "That code has expired. Ask for a new one.";
const UNCHECKED: &str = "We could not check the code.";
const UNCHECKED_TRY_AGAIN: &str = "We could not check the code. Try again.";

/// `GET /verify_2fa`: sends nothing, however often it is loaded.
pub async fn form(
    State(app): State<AppState>,
    page: Page,
    Pending(challenge): Pending,
) -> Result<VerifyPage, AppError> {
    verify_page(&app, &page, &challenge, Errors::default()).await
}

/// `POST /verify_2fa`
pub async fn verify(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Pending(challenge): Pending,
    Form(form): Form<VerifyForm>,
) -> Result<Response, AppError> {
    let Some(code) = form.code() else {
        return wrong(
            &app,
            &page,
            &challenge,
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid token",
        )
        .await;
    };
    let now = app.clock.now();
    let refused = match challenge
        .check(&app.database, &app.verify, &code, now)
        .await
    {
        Ok(()) => return finish(&app, &session, &page, &challenge).await,
        Err(refused) => refused,
    };
    tracing::info!(event = "code_refused", user = challenge.user_id.as_str(), reason = %refused, "code refused");
    let (status, sentence, last) = match refused {
        Refused::Gone => return expired(&session).await,
        Refused::Other(error) => return Err(error.into()),
        Refused::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid token", false),
        Refused::Exhausted => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid token", true),
        Refused::CodeExpired { last } => {
            let sentence = if last { EXPIRED } else { EXPIRED_ASK_AGAIN };
            (StatusCode::UNPROCESSABLE_ENTITY, sentence, last)
        }
        Refused::Unavailable { last } => {
            let sentence = if last { UNCHECKED } else { UNCHECKED_TRY_AGAIN };
            (StatusCode::SERVICE_UNAVAILABLE, sentence, last)
        }
    };
    if last {
        return begin_again(&page, &challenge, status, sentence).await;
    }
    wrong(&app, &page, &challenge, status, sentence).await
}

async fn wrong(
    app: &AppState,
    page: &Page,
    challenge: &Challenge,
    status: StatusCode,
    sentence: &'static str,
) -> Result<Response, AppError> {
    let errors = Errors::one("token", sentence);
    Ok((status, verify_page(app, page, challenge, errors).await?).into_response())
}

/// That was the last try: the page leads back to the beginning.
async fn begin_again(
    page: &Page,
    challenge: &Challenge,
    status: StatusCode,
    sentence: &'static str,
) -> Result<Response, AppError> {
    let layout = page.layout("Enter the code").await?;
    let page = VerifyPage::exhausted(layout, challenge, sentence);
    Ok((status, page).into_response())
}

async fn verify_page(
    app: &AppState,
    page: &Page,
    challenge: &Challenge,
    errors: Errors,
) -> Result<VerifyPage, AppError> {
    let layout = page.layout("Enter the code").await?;
    Ok(VerifyPage::new(layout, challenge, app.clock.now(), errors))
}

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

/// `POST /verify_2fa/cancel`
pub async fn cancel(
    State(app): State<AppState>,
    session: Session,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    challenge
        .close(&app.database, &app.verify, Outcome::Cancelled, now)
        .await?;
    let mut connection = app.database.acquire().await?;
    if challenge.purpose == Purpose::LogIn {
        session.end(&mut connection).await?;
        return Ok(Redirect::to("/login").into_response());
    }
    let (Some(row), Some(user)) = (session.row(), session.user()) else {
        return Ok(signed_out());
    };
    SessionRow::forget_challenge(&mut connection, &row.id).await?;
    Ok(match challenge.purpose {
        Purpose::Enable => Redirect::to(&format!("/user/{}", user.username)).into_response(),
        _ => onwards(None),
    })
}
