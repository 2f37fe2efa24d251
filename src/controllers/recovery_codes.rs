//! The recovery codes page.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::controllers::{redirect_to_login, redirect_to_profile, too_many, too_many_errors};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::recovery_codes::replaced_set;
use crate::models::activity::{Activity, Event};
use crate::models::client::Client;
use crate::models::factor::RecoveryCode;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::user::User;
use crate::session::Session;
use crate::session::redirects::redirect_shown_once;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::recovery_codes::{RecoveryCodesPage, RenewedPage};

/// `GET /recovery_codes`. It shows the number of codes, never a code.
pub async fn show(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<Response, AppError> {
    if !user.has_two_factor() {
        return redirect_without_two_factor(&session, &user).await;
    }
    let page = codes_page(&app, &page, &user, Errors::default()).await?;
    Ok(page.into_response())
}

/// `POST /recovery_codes`: replaces the set and shows the new one, only in this response. The
/// same form again, as after a reload, makes no second set.
pub async fn renew(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    CurrentUser(user): CurrentUser,
    body: Bytes,
) -> Result<Response, AppError> {
    if !user.has_two_factor() {
        return redirect_without_two_factor(&session, &user).await;
    }
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !session.lock_if_active(&mut transaction).await? {
        return Ok(redirect_to_login());
    }
    if let Some(set) = replaced_set(&body)
        && set != RecoveryCode::set_id(&mut transaction, &user.id).await?
    {
        drop(transaction);
        return redirect_shown_once(&session).await;
    }
    if let Err(exceeded) = limits.take(&mut transaction, user.id.as_str(), now).await? {
        drop(transaction);
        let page = codes_page(&app, &page, &user, too_many_errors(exceeded)).await?;
        return Ok(too_many(exceeded, page));
    }
    let codes = RecoveryCode::create_set(&mut transaction, &user.id, now).await?;
    Notice::new(NoticeKind::RecoveryCodesRenewed, &client, now)
        .enqueue(&mut transaction, &user.id)
        .await?;
    let event = Event::RecoveryCodesRenewed;
    Activity::record(&mut transaction, &user.id, event, Some(&client), now).await?;
    transaction.commit().await?;
    app.mail.wake();
    tracing::info!(
        event = "recovery_codes_renewed",
        user = user.id.as_str(),
        "recovery codes renewed"
    );
    Ok(RenewedPage {
        layout: page.layout("New recovery codes").await?,
        username: user.username,
        codes: codes.iter().map(RecoveryCode::grouped).collect(),
    }
    .into_response())
}

async fn codes_page(
    app: &AppState,
    page: &Page,
    user: &User,
    errors: Errors,
) -> Result<RecoveryCodesPage, AppError> {
    let mut connection = app.database.acquire().await?;
    let left = RecoveryCode::count_unused(&mut connection, &user.id).await?;
    let set = RecoveryCode::set_id(&mut connection, &user.id).await?;
    drop(connection);
    let layout = page.layout("Recovery codes").await?;
    Ok(RecoveryCodesPage::new(layout, left, set, errors))
}

async fn redirect_without_two_factor(session: &Session, user: &User) -> Result<Response, AppError> {
    let text = "Turn on two-factor authentication to get recovery codes.";
    redirect_to_profile(session, MessageKind::Info, text, &user.username).await
}
