//! Removing one factor, or all of them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::completed::respond_to_change;
use crate::controllers::{
    end_verifications, redirect_to_login, redirect_to_profile, redirect_with_message, too_many,
    too_many_errors,
};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Page, RouteLimits};
use crate::forms::Errors;
use crate::middleware::access::TWO_FACTOR_REQUIRED;
use crate::models::client::Client;
use crate::models::factor::{Factor, FactorId};
use crate::models::rate_limit::RateLimitExceeded;
use crate::models::two_factor::{ChangeResult, FactorChange, NotChanged};
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::factors::{DisablePage, describe};
use crate::views::layout::MessageKind;

const DISABLED: &str = "You have disabled two-factor authentication";

/// `GET /disable_2fa`
pub async fn disable_form(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<Response, AppError> {
    if !user.has_two_factor() {
        return redirect_already_off(&session, &user).await;
    }
    let page = disable_page(&app, &page, &user, Errors::default()).await?;
    Ok(page.into_response())
}

/// `POST /disable_2fa`: removes all factors, and ends all other sessions and open challenges.
pub async fn disable(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    CurrentUser(user): CurrentUser,
) -> Result<Response, AppError> {
    if !user.has_two_factor() {
        return redirect_already_off(&session, &user).await;
    }
    match remove_factors(&app, &session, &user, None, &client, &limits).await? {
        Removal::Done(_) => {
            tracing::info!(
                event = "two_factor_disabled",
                user = user.id.as_str(),
                "two-factor authentication disabled"
            );
            redirect_to_profile(&session, MessageKind::Success, DISABLED, &user.username).await
        }
        Removal::Outdated => Ok(redirect_to_login()),
        Removal::Required => redirect_required(&session).await,
        Removal::Limited(exceeded) => {
            let page = disable_page(&app, &page, &user, too_many_errors(exceeded)).await?;
            Ok(too_many(exceeded, page))
        }
    }
}

/// `POST /factors/{id}/remove`. Removing the last factor turns two-factor authentication off.
pub async fn remove(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    CurrentUser(user): CurrentUser,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let id = FactorId::received(&id).ok_or(AppError::NotFound)?;
    let found = Factor::find(&mut *app.database.acquire().await?, &user.id, &id).await?;
    let factor = found.ok_or(AppError::NotFound)?;
    match remove_factors(&app, &session, &user, Some(&factor), &client, &limits).await? {
        Removal::Done(result) => {
            let text = match result {
                ChangeResult::Disabled => DISABLED.to_owned(),
                _ => format!("You have removed {}", describe(&factor)),
            };
            respond_to_change(&session, &page, result, &text).await
        }
        Removal::Outdated => Ok(redirect_to_login()),
        Removal::Required => redirect_required(&session).await,
        Removal::Limited(exceeded) => {
            let page = disable_page(&app, &page, &user, too_many_errors(exceeded)).await?;
            Ok(too_many(exceeded, page))
        }
    }
}

enum Removal {
    Done(ChangeResult),
    /// The account changed meanwhile, or the login has ended.
    Outdated,
    Limited(RateLimitExceeded),
    /// The site requires a factor, and this is the last one.
    Required,
}

/// Removes a factor, or all of them.
async fn remove_factors(
    app: &AppState,
    session: &Session,
    user: &User,
    factor: Option<&Factor>,
    client: &Client,
    limits: &RouteLimits,
) -> Result<Removal, AppError> {
    let Some(row) = session.row() else {
        return Ok(Removal::Outdated);
    };
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let (connection, may_be_last) = (&mut *transaction, !app.config.require_two_factor);
    let removed =
        FactorChange::remove(connection, row, user, factor, may_be_last, client, now).await?;
    let change = match removed {
        Ok(change) => change,
        Err(NotChanged::LastFactor) => return Ok(Removal::Required),
        Err(_) => return Ok(Removal::Outdated),
    };
    if let Err(exceeded) = limits.take(&mut transaction, user.id.as_str(), now).await? {
        return Ok(Removal::Limited(exceeded));
    }
    transaction.commit().await?;
    session.send(change.issued);
    app.mail.wake();
    end_verifications(app, change.verifications, now).await?;
    Ok(Removal::Done(change.result))
}

async fn disable_page(
    app: &AppState,
    page: &Page,
    user: &User,
    errors: Errors,
) -> Result<DisablePage, AppError> {
    let factors = Factor::list(&mut *app.database.acquire().await?, &user.id).await?;
    Ok(DisablePage {
        layout: page.layout("Disable two-factor authentication").await?,
        factors: factors.iter().map(describe).collect(),
        errors,
    })
}

async fn redirect_required(session: &Session) -> Result<Response, AppError> {
    let (kind, text) = (MessageKind::Info, TWO_FACTOR_REQUIRED);
    redirect_with_message(session, kind, text, "/security").await
}

async fn redirect_already_off(session: &Session, user: &User) -> Result<Response, AppError> {
    let text = "Two-factor authentication is already off.";
    redirect_to_profile(session, MessageKind::Info, text, &user.username).await
}
