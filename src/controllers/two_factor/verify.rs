//! Entering a code, which completes a login, a reauthentication or a change of the phone.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::completed::complete;
use crate::controllers::{self, redirect_to_login, redirect_to_next};
use crate::error::AppError;
use crate::extractors::{DeviceCookie, Form, Page, Pending};
use crate::forms::Errors;
use crate::forms::two_factor::VerifyForm;
use crate::models::activity::{Activity, Event};
use crate::models::challenge::{Challenge, Outcome, Purpose, Refused};
use crate::models::client::Client;
use crate::models::device::Browser;
use crate::models::factor::{Factor, SendMethod};
use crate::models::session::SessionRow;
use crate::session::Session;
use crate::session::redirects::{CODE_EXPIRED, redirect_expired};
use crate::state::AppState;
use crate::views::factors::FactorItem;
use crate::views::two_factor::{ExhaustedPage, Next, VerifyPage, advise_after_wrong_code};

const EXPIRED_REQUEST_ANOTHER: &str = "That code has expired. Ask for a new one.";
const UNCHECKED: &str = "We couldn't check the code.";
const UNCHECKED_TRY_AGAIN: &str = "We couldn't check the code. Try again.";

/// `GET /verify_2fa`: never sends a code.
pub async fn form(
    State(app): State<AppState>,
    page: Page,
    client: Client,
    Pending(challenge): Pending,
) -> Result<VerifyPage, AppError> {
    verify_page(&app, &page, &client, &challenge, Errors::default()).await
}

/// `POST /verify_2fa`
pub async fn verify(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    DeviceCookie(device): DeviceCookie,
    Pending(challenge): Pending,
    Form(form): Form<VerifyForm>,
) -> Result<Response, AppError> {
    let trust = form.trust_device();
    let show = async |status, message: &'static str, advice| {
        let errors = Errors::one("token", message);
        let page = verify_page(&app, &page, &client, &challenge, errors).await?;
        let page = VerifyPage {
            advice,
            trust_device: trust,
            ..page
        };
        Ok::<_, AppError>((status, page).into_response())
    };
    let Some(code) = form.code() else {
        let advice = "Enter only the digits of the code.".to_owned();
        return show(StatusCode::UNPROCESSABLE_ENTITY, "Invalid token", advice).await;
    };
    let now = app.clock.now();
    let checked = challenge
        .check(
            &app.database,
            &app.verify,
            app.secret_keys.as_ref(),
            &code,
            now,
        )
        .await;
    let outcome = checked.as_ref().map_or_else(Refused::as_str, |_| "right");
    if let Some(it) = challenge
        .verification
        .as_ref()
        .filter(|_| challenge.phone().is_some())
    {
        app.metrics
            .count_checked_code(it.country.as_deref(), outcome);
    }
    let refused = match checked {
        Ok(checked) => {
            let proof = checked.proof();
            // A reload of the page with the recovery codes sends the code again.
            if session.user().is_some_and(|user| !user.has_two_factor()) {
                session.remember_recovery_codes(&code).await?;
            }
            let browser = Browser {
                client: &client,
                device: device.as_ref(),
            };
            return complete(&app, &session, &page, browser, &challenge, proof, trust).await;
        }
        Err(refused) => refused,
    };
    tracing::info!(event = "code_refused", user = challenge.user_id.as_str(), reason = %refused, "code refused");
    if matches!(refused, Refused::Wrong { .. } | Refused::Exhausted) {
        record(&app, &challenge, Event::WrongCode, &client, now).await?;
    }
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let advice = match refused {
        Refused::Wrong { left } => advise_after_wrong_code(&challenge, left, now),
        _ => String::new(),
    };
    let (status, message, last) = match refused {
        Refused::Gone => return redirect_expired(&session).await,
        Refused::Other(error) => return Err(error.into()),
        // The page shows the limit and its end anyway.
        Refused::TooMany(too_many) => {
            let errors = Errors::default();
            let page = verify_page(&app, &page, &client, &challenge, errors).await?;
            return Ok(controllers::too_many(too_many, page));
        }
        Refused::Wrong { .. } => (unprocessable, "Invalid token", false),
        Refused::Exhausted => (unprocessable, "Invalid token", true),
        Refused::CodeExpired { last: true } => (unprocessable, CODE_EXPIRED, true),
        Refused::CodeExpired { last: false } => (unprocessable, EXPIRED_REQUEST_ANOTHER, false),
        Refused::Unavailable { last: true } => (unavailable, UNCHECKED, true),
        Refused::Unavailable { last: false } => (unavailable, UNCHECKED_TRY_AGAIN, false),
    };
    match last {
        true => end(&page, &challenge, status, message).await,
        false => show(status, message, advice).await,
    }
}

/// Records an event, which the security page lists.
pub(super) async fn record(
    app: &AppState,
    challenge: &Challenge,
    event: Event,
    client: &Client,
    now: i64,
) -> Result<(), AppError> {
    let mut connection = app.database.acquire().await?;
    Activity::record(
        &mut connection,
        &challenge.user_id,
        event,
        Some(client),
        now,
    )
    .await?;
    Ok(())
}

/// The page after the last attempt, with links to begin again.
async fn end(
    page: &Page,
    challenge: &Challenge,
    status: StatusCode,
    message: &'static str,
) -> Result<Response, AppError> {
    let layout = page.layout("Enter the code").await?;
    let page = ExhaustedPage::new(layout, challenge, message);
    Ok((status, page).into_response())
}

/// The page with the form for the code.
pub(super) async fn verify_page(
    app: &AppState,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
    errors: Errors,
) -> Result<VerifyPage, AppError> {
    let now = app.clock.now();
    let sender = app.code_sender(challenge.phone(), client);
    let mut connection = app.database.acquire().await?;
    let code = challenge
        .resend_status(&mut connection, &sender, SendMethod::Any, now)
        .await?;
    let call = challenge
        .resend_status(&mut connection, &sender, SendMethod::Call, now)
        .await?;
    drop(connection);
    let blocked = challenge.locked_until(&app.database, now).await?;
    let next = Next {
        code,
        call,
        blocked,
    };
    let others = other_factors(app, challenge).await?;
    let layout = page.layout("Enter the code").await?;
    let mut page = VerifyPage::new(layout, challenge, others, next, now, errors);
    if challenge.purpose == Purpose::LogIn {
        page.trust_days = app.config.trust_device_days;
    }
    Ok(page)
}

/// The factors that the user may use in place of the one in use.
async fn other_factors(app: &AppState, challenge: &Challenge) -> Result<Vec<FactorItem>, AppError> {
    let Some(current) = &challenge.factor else {
        return Ok(Vec::new());
    };
    let mut connection = app.database.acquire().await?;
    let factors = Factor::list(&mut connection, &challenge.user_id).await?;
    let now = app.clock.now();
    let others = factors.iter().filter(|it| it.id != current.id);
    Ok(others.map(|it| FactorItem::new(it, now)).collect())
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
        return Ok(redirect_to_login());
    };
    SessionRow::detach_challenge(&mut connection, &row.id).await?;
    Ok(match challenge.purpose {
        Purpose::AddPhone => Redirect::to(&format!("/user/{}", user.username)).into_response(),
        _ => redirect_to_next(None),
    })
}
