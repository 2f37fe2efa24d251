//! The authenticator on `/dev/phone`. It keeps nothing: it shows the codes of all stored apps, and
//! of the app that a user is adding.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;

use crate::error::AppError;
use crate::extractors::{Form, Page};
use crate::forms::authenticator::AuthenticatorForm;
use crate::models::factor::Factor;
use crate::services::totp::{TotpSecret, open_setup};
use crate::session::Session;
use crate::state::AppState;
use crate::views::dev::{DemoAuthenticatorPage, DemoCode};
use crate::views::factors::label;

/// The codes of all stored apps.
pub(super) async fn codes(app: &AppState) -> Result<Vec<DemoCode>, AppError> {
    let Some(keys) = &app.secret_keys else {
        return Ok(Vec::new());
    };
    let mut codes = Vec::new();
    for (username, factor) in Factor::all_authenticators(&app.database).await? {
        if let Some(secret) = factor.open_secret(keys)? {
            codes.push(code_of(
                app,
                format!("{} of {username}", label(&factor)),
                &secret,
            ));
        }
    }
    Ok(codes)
}

/// `POST /dev/phone/authenticator`: the code of the app that the user is adding.
pub async fn show_pending(
    State(app): State<AppState>,
    page: Page,
    session: Session,
    Form(form): Form<AuthenticatorForm>,
) -> Result<Response, AppError> {
    let keys = app.secret_keys.as_ref().ok_or(AppError::NotFound)?;
    let user = session.user().ok_or(AppError::NotFound)?;
    let (setup, now) = (form.setup.expose_secret(), app.clock.now());
    let secret = open_setup(keys, setup, user.id.as_str(), user.auth_version, now);
    let secret = secret.map_err(|_| AppError::NotFound)?;
    let code = code_of(&app, format!("New app of {}", user.username), &secret);
    let layout = page.layout("Demo authenticator").await?;
    Ok(DemoAuthenticatorPage { layout, code }.into_response())
}

fn code_of(app: &AppState, name: String, secret: &TotpSecret) -> DemoCode {
    let now = app.clock.now();
    DemoCode {
        name,
        code: secret.code(now).expose_secret().to_owned(),
        seconds: 30 - now.rem_euclid(30),
    }
}
