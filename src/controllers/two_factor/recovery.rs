//! Entering a recovery code instead of a code: for a login or a reauthentication. Adding a
//! phone requires the phone's code, which proves that the user has the phone.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::completed::complete;
use super::verify::record;
use crate::controllers::{too_many, too_many_errors, unprocessable};
use crate::error::AppError;
use crate::extractors::{DeviceCookie, Form, Page, Pending};
use crate::forms::Errors;
use crate::forms::recovery_codes::RecoveryForm;
use crate::models::activity::Event;
use crate::models::challenge::{Challenge, Proof, Purpose};
use crate::models::client::Client;
use crate::models::device::Browser;
use crate::models::factor::{End, RecoveryCode, Verification};
use crate::models::rate_limit::{RateLimitExceeded, WRONG_RECOVERY_CODES, take};
use crate::session::Session;
use crate::state::AppState;
use crate::views::recovery_codes::EnterPage;

/// `GET /verify_2fa/recovery`
pub async fn form(page: Page, Pending(challenge): Pending) -> Result<Response, AppError> {
    if challenge.purpose == Purpose::AddPhone {
        return Ok(Redirect::to("/verify_2fa").into_response());
    }
    let page = enter_page(&page, &challenge, Errors::default()).await?;
    Ok(page.into_response())
}

/// `POST /verify_2fa/recovery`. The attempt counts before the code is looked up, and is
/// refunded when a right code is consumed. A wrong one leaves the challenge open, since the
/// user may still find the phone.
pub async fn recover(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    DeviceCookie(device): DeviceCookie,
    Pending(challenge): Pending,
    Form(form): Form<RecoveryForm>,
) -> Result<Response, AppError> {
    if challenge.purpose == Purpose::AddPhone {
        return Ok(Redirect::to("/verify_2fa").into_response());
    }
    if form.is_empty() {
        return invalid(&page, &challenge).await;
    }
    let now = app.clock.now();
    let buckets = WRONG_RECOVERY_CODES.buckets_for(challenge.user_id.as_str(), Some(&client));
    let taken = take(&mut *app.database.acquire().await?, &buckets, now).await?;
    let attempt = match taken {
        Ok(attempt) => attempt,
        Err(exceeded) => return limited(&page, &challenge, exceeded).await,
    };
    let Some(code) = valid_code(&app, &form, &challenge).await? else {
        return wrong(&app, &page, &client, &challenge).await;
    };
    let proof = Proof::RecoveryCode(&code, &attempt);
    let browser = Browser {
        client: &client,
        device: device.as_ref(),
    };
    let response = complete(&app, &session, &page, browser, &challenge, proof, false).await?;
    if let Some(it) = &challenge.verification {
        Verification::end(&app.database, &app.verify, &it.id, End::Recovered, now).await?;
    }
    Ok(response)
}

/// The code, if it is one of the account's and unused.
async fn valid_code(
    app: &AppState,
    form: &RecoveryForm,
    challenge: &Challenge,
) -> Result<Option<RecoveryCode>, AppError> {
    let Some(code) = form.code() else {
        return Ok(None);
    };
    let is_good = code.is_valid(&app.database, &challenge.user_id).await?;
    Ok(is_good.then_some(code))
}

async fn wrong(
    app: &AppState,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    record(app, challenge, Event::WrongRecoveryCode, client, now).await?;
    let user = challenge.user_id.as_str();
    tracing::info!(event = "recovery_code_refused", user, "wrong recovery code");
    invalid(page, challenge).await
}

async fn invalid(page: &Page, challenge: &Challenge) -> Result<Response, AppError> {
    let errors = Errors::one("recovery_code", "Invalid recovery code");
    Ok(unprocessable(enter_page(page, challenge, errors).await?))
}

async fn limited(
    page: &Page,
    challenge: &Challenge,
    exceeded: RateLimitExceeded,
) -> Result<Response, AppError> {
    let page = enter_page(page, challenge, too_many_errors(exceeded)).await?;
    Ok(too_many(exceeded, page))
}

async fn enter_page(
    page: &Page,
    challenge: &Challenge,
    errors: Errors,
) -> Result<EnterPage, AppError> {
    Ok(EnterPage {
        layout: page.layout("Use a recovery code").await?,
        purpose: challenge.purpose,
        errors,
    })
}
