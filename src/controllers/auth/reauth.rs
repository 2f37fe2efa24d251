//! Reauthentication: the user proves again who they are.

use axum::extract::{Query, State};
use axum::response::Response;

use crate::controllers::auth::password_check;
use crate::controllers::{redirect_to_challenge, redirect_to_login, redirect_to_next};
use crate::error::AppError;
use crate::extractors::{CurrentUser, DeviceCookie, Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::auth::{NextQuery, ReauthForm};
use crate::forms::local_path::LocalPath;
use crate::models::activity::{Activity, Event};
use crate::models::challenge::{Challenge, NewChallenge, Purpose};
use crate::models::client::Client;
use crate::models::device::Browser;
use crate::models::factor::Factor;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::auth::ReauthPage;

/// `GET /reauth`
pub async fn form(page: Page, Query(query): Query<NextQuery>) -> Result<ReauthPage, AppError> {
    let with_recovery_code = query.with_recovery_code();
    let (next, errors) = (query.next(), Errors::default());
    reauth_page(&page, next.as_ref(), with_recovery_code, errors).await
}

/// `POST /reauth`. It checks the password. With two-factor authentication, a code follows.
pub async fn reauth(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    DeviceCookie(device): DeviceCookie,
    limits: RouteLimits,
    CurrentUser(current): CurrentUser,
    Form(form): Form<ReauthForm>,
) -> Result<Response, AppError> {
    let (next, password) = (form.next(), form.password.clone());
    let with_recovery_code = form.with_recovery_code();
    let (client, limits) = (&limits.client, limits.declared);
    let browser = Browser {
        client,
        device: device.as_ref(),
    };
    let checked =
        password_check::check_current_user(&app, browser, &current, password, limits).await?;
    let user = match checked {
        Ok(user) => user,
        Err(error) => {
            let user = current.id.as_str();
            tracing::info!(event = "reauth_failed", user, "reauthentication failed");
            let errors = password_check::form_errors(error, "password", "Invalid password");
            let shown = reauth_page(&page, next.as_ref(), with_recovery_code, errors).await?;
            return Ok(password_check::respond(error, shown));
        }
    };
    let next = next.as_ref();
    match user.has_two_factor() {
        true => {
            start_reauth_challenge(&app, &session, &user, next, with_recovery_code, client).await
        }
        false => reauth_with_password(&app, &session, &user, next, client).await,
    }
}

/// Reauthenticates a user without two-factor authentication.
async fn reauth_with_password(
    app: &AppState,
    session: &Session,
    user: &User,
    next: Option<&LocalPath>,
    client: &Client,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let issued = session
        .renew(&mut transaction, Some(now), None, now)
        .await?;
    let Some(issued) = issued else {
        return Ok(redirect_to_login());
    };
    let event = Event::Reauthenticated;
    Activity::record(&mut transaction, &user.id, event, Some(client), now).await?;
    transaction.commit().await?;
    session.send(issued);
    let user = user.id.as_str();
    tracing::info!(event = "reauth", user, amr = "pwd", "reauthenticated");
    Ok(redirect_to_next(next))
}

/// Opens a challenge for a user with two-factor authentication. A user who wants to enter a
/// recovery code gets no other.
async fn start_reauth_challenge(
    app: &AppState,
    session: &Session,
    user: &User,
    next: Option<&LocalPath>,
    with_recovery_code: bool,
    client: &Client,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let Some(factor) = Factor::first(&app.database, &user.id).await? else {
        return Ok(redirect_to_login()); // it was removed just now, which ended this session
    };
    let phone = factor.phone_number().filter(|_| !with_recovery_code);
    let new = NewChallenge {
        user,
        purpose: Purpose::Reauth,
        factor: Some(&factor),
        phone,
        next: next.map(LocalPath::as_str),
        session: session.row(),
        login: None,
    };
    let sender = app.code_sender(phone, client);
    let Ok(opened) = Challenge::open(&sender, new, now).await? else {
        return Ok(redirect_to_login());
    };
    session.send(opened.issued);
    Ok(redirect_to_challenge(with_recovery_code))
}

async fn reauth_page(
    page: &Page,
    next: Option<&LocalPath>,
    with_recovery_code: bool,
    errors: Errors,
) -> Result<ReauthPage, AppError> {
    Ok(ReauthPage {
        layout: page.layout("Confirm it's you").await?,
        next: next.map(|next| next.as_str().to_owned()),
        with_recovery_code,
        errors,
    })
}
