//! Adding an authenticator app.

use axum::extract::State;
use axum::response::Response;
use secrecy::ExposeSecret;

use super::completed::respond_to_change;
use crate::controllers::{
    end_verifications, redirect_to_login, redirect_with_message, too_many, too_many_errors,
    unprocessable,
};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::authenticator::AuthenticatorForm;
use crate::models::Error;
use crate::models::client::Client;
use crate::models::factor::NewAuthenticator;
use crate::models::two_factor::{FactorChange, NotChanged};
use crate::models::user::User;
use crate::services::totp::{TotpSecret, open_setup, seal_setup};
use crate::session::Session;
use crate::session::redirects::redirect_shown_once;
use crate::state::AppState;
use crate::views::authenticator::AuthenticatorPage;
use crate::views::layout::MessageKind;

/// `GET /authenticator`: a new secret in each page. It writes nothing: the form carries the
/// secret, sealed.
pub async fn form(
    State(app): State<AppState>,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<AuthenticatorPage, AppError> {
    let keys = app.secret_keys.as_ref().ok_or(AppError::NotFound)?;
    let secret = TotpSecret::generate().map_err(Error::from)?;
    let (version, now) = (user.auth_version, app.clock.now());
    let setup = seal_setup(keys, &secret, user.id.as_str(), version, now);
    let form = AuthenticatorForm::new(setup.map_err(Error::from)?);
    show(&page, &user, &secret, form, Errors::default()).await
}

/// `POST /authenticator`: adds the app if its code is right. All other sessions end.
pub async fn add(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    CurrentUser(user): CurrentUser,
    Form(form): Form<AuthenticatorForm>,
) -> Result<Response, AppError> {
    let keys = app.secret_keys.as_ref().ok_or(AppError::NotFound)?;
    let (id, version, now) = (user.id.as_str(), user.auth_version, app.clock.now());
    let setup = form.setup.expose_secret();
    let Ok(secret) = open_setup(keys, setup, id, version, now) else {
        // The form that turned two-factor authentication on, sent again.
        let is_first = user.phone.is_none() && user.factors == 1;
        if is_first && open_setup(keys, setup, id, version - 1, now).is_ok() {
            return redirect_shown_once(&session).await;
        }
        let text = "That page has expired.";
        return redirect_with_message(&session, MessageKind::Info, text, "/authenticator").await;
    };
    let (step, name) = match form.parse(&secret, now) {
        Ok(valid) => valid,
        Err(errors) => {
            return Ok(unprocessable(
                show(&page, &user, &secret, form, errors).await?,
            ));
        }
    };
    let Some(row) = session.row() else {
        return Ok(redirect_to_login());
    };
    let (name, secret) = (name.as_str(), &secret);
    let new = NewAuthenticator {
        keys,
        name,
        secret,
        step,
    };
    let mut transaction = app.database.begin().await?;
    let connection = &mut *transaction;
    let change =
        FactorChange::add_authenticator(connection, row, &user, &new, &client, now).await?;
    let change = match change {
        Ok(change) => change,
        Err(NotChanged::Outdated | NotChanged::LastFactor) => return Ok(redirect_to_login()),
        Err(NotChanged::TooManyApps) => {
            drop(transaction);
            let text = "You already have five authenticator apps. Remove one first.";
            let errors = Errors::one("form", text);
            return Ok(unprocessable(
                show(&page, &user, secret, form, errors).await?,
            ));
        }
    };
    if let Err(exceeded) = limits.take(connection, id, now).await? {
        drop(transaction);
        let page = show(&page, &user, secret, form, too_many_errors(exceeded)).await?;
        return Ok(too_many(exceeded, page));
    }
    transaction.commit().await?;
    session.send(change.issued);
    app.mail.wake();
    end_verifications(&app, change.verifications, now).await?;
    let text = "You have added an authenticator app";
    respond_to_change(&session, &page, change.result, text).await
}

async fn show(
    page: &Page,
    user: &User,
    secret: &TotpSecret,
    form: AuthenticatorForm,
    errors: Errors,
) -> Result<AuthenticatorPage, AppError> {
    let layout = page.layout("Add an authenticator app").await?;
    Ok(AuthenticatorPage::new(layout, user, secret, form, errors)?)
}
