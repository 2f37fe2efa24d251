//! Two-factor authentication. This file adds a phone, or changes its number.

pub mod authenticator;
mod completed;
pub mod recovery;
pub mod removing;
pub mod resend;
pub(super) mod sending;
pub mod switching;
pub mod verify;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use self::sending::answer_status;
use crate::controllers::{redirect_to_login, refusal, unprocessable};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Form, Page};
use crate::forms::Errors;
use crate::forms::phone_number::PhoneNumber;
use crate::forms::two_factor::EnableForm;
use crate::models::challenge::{
    Challenge, NewChallenge, NotOpened, Outcome, Purpose, ResendStatus,
};
use crate::models::client::Client;
use crate::models::factor::Delivery;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::two_factor::{
    CANNOT_SEND_TO_NUMBER, EnablePage, explain_failed_delivery, mask_phone,
};

/// `GET /enable_2fa`. The number that is being added in this session stays, so that the user can
/// correct it.
pub async fn enable_form(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<EnablePage, AppError> {
    let open = match session.challenge() {
        Some(id) => Challenge::find_open(&app.database, id, app.clock.now()).await?,
        None => None,
    };
    let open = open.filter(|it| it.purpose == Purpose::AddPhone && it.user_id == user.id);
    let number = open.as_ref().and_then(Challenge::phone).unwrap_or_default();
    enable_page(&app, &page, &user, number.to_owned(), Errors::default()).await
}

/// `POST /enable_2fa`: sends a code to the number. If two-factor authentication is on, this
/// changes the number; the old one stays until the new one is verified.
pub async fn enable(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    CurrentUser(user): CurrentUser,
    Form(form): Form<EnableForm>,
) -> Result<Response, AppError> {
    let phone = match allowed_number(&app, &form) {
        Ok(phone) => phone,
        Err(message) => {
            let errors = Errors::one("verification_phone", message);
            let page = enable_page(&app, &page, &user, form.verification_phone, errors).await?;
            return Ok(unprocessable(page));
        }
    };
    let opened = open(&app, &session, &client, &user, &phone).await?;
    let (delivery, resend) = match opened {
        Ok(delivery) if delivery.may_have_arrived() => {
            return Ok(Redirect::to("/verify_2fa").into_response());
        }
        Ok(delivery) => (delivery, ResendStatus::Now),
        Err(NotOpened::HeldBack(resend)) => (Delivery::HeldBack, resend),
        Err(NotOpened::Outdated) => return Ok(redirect_to_login()),
    };
    let (status, retry_after) = answer_status(delivery, resend);
    let errors = failed_delivery_errors(delivery, resend);
    let page = enable_page(&app, &page, &user, form.verification_phone, errors).await?;
    Ok(refusal(status, retry_after, page))
}

/// Opens the challenge of adding a number. A code that could not be sent closes it again.
async fn open(
    app: &AppState,
    session: &Session,
    client: &Client,
    user: &User,
    phone: &PhoneNumber,
) -> Result<Result<Delivery, NotOpened>, AppError> {
    let new = NewChallenge {
        user,
        purpose: Purpose::AddPhone,
        factor: None,
        phone: Some(phone.as_str()),
        next: None,
        session: session.row(),
        login: None,
    };
    let now = app.clock.now();
    let sender = app.code_sender(Some(phone.as_str()), client);
    let opened = match Challenge::open(&sender, new, now).await? {
        Ok(opened) => opened,
        Err(reason) => return Ok(Err(reason)),
    };
    session.send(opened.issued);
    let delivery = opened.challenge.delivery(now);
    if !delivery.may_have_arrived() {
        let outcome = Outcome::NotSent;
        let closed = opened
            .challenge
            .close(&app.database, &app.verify, outcome, now);
        closed.await?;
    }
    Ok(Ok(delivery))
}

fn allowed_number(app: &AppState, form: &EnableForm) -> Result<PhoneNumber, &'static str> {
    let phone = PhoneNumber::parse(&form.verification_phone).map_err(|_| "Invalid phone number")?;
    match &app.config.sms_countries {
        Some(allowed) if !allowed.contains(phone.country()) => Err(CANNOT_SEND_TO_NUMBER),
        _ => Ok(phone),
    }
}

/// The form's error when no code could be sent.
fn failed_delivery_errors(delivery: Delivery, resend: ResendStatus) -> Errors {
    match delivery {
        Delivery::InvalidNumber => Errors::one("verification_phone", "Invalid phone number"),
        Delivery::FraudGuard | Delivery::Blocked => {
            Errors::one("verification_phone", CANNOT_SEND_TO_NUMBER)
        }
        other => explain_failed_delivery(other, resend, Purpose::AddPhone).into_errors(),
    }
}

async fn enable_page(
    app: &AppState,
    page: &Page,
    user: &User,
    verification_phone: String,
    errors: Errors,
) -> Result<EnablePage, AppError> {
    let current = user.phone.as_deref().map(mask_phone);
    let title = match current {
        Some(_) => "Change your phone number",
        None => "Enable two-factor authentication",
    };
    Ok(EnablePage {
        layout: page.layout(title).await?,
        verification_phone,
        current,
        offers_apps: app.secret_keys.is_some(),
        errors,
    })
}
