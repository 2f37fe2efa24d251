//! Checks the password of a login or of a logged-in user, and answers a wrong one.

use axum::response::{IntoResponse, Response};
use secrecy::SecretString;

use crate::controllers::{too_many, too_many_errors, unprocessable};
use crate::error::AppError;
use crate::extractors::RouteLimits;
use crate::forms::Errors;
use crate::forms::auth::LoginForm;
use crate::models::authentication::{AuthenticationError, Credentials};
use crate::models::device::Browser;
use crate::models::rate_limit::RateLimit;
use crate::models::user::User;
use crate::state::AppState;

/// Checks the username and password of a login form.
pub(super) async fn check_login(
    app: &AppState,
    browser: Browser<'_>,
    limits: &RouteLimits,
    form: &LoginForm,
) -> Result<Result<User, AuthenticationError>, AppError> {
    let credentials = Credentials {
        typed: form.typed_name(),
        username: form.name(),
        current_user: None,
        password: form.password.clone(),
        browser,
        limited_client: app.limited_client(browser.client),
        limits: limits.declared,
    };
    authenticate(app, credentials).await
}

/// Checks the password of the logged-in user. Returns the account as it was compared. A right
/// password counts in `limits`.
pub(in crate::controllers) async fn check_current_user(
    app: &AppState,
    browser: Browser<'_>,
    user: &User,
    password: SecretString,
    limits: &'static [RateLimit],
) -> Result<Result<User, AuthenticationError>, AppError> {
    let credentials = Credentials {
        typed: &user.username,
        username: &user.username,
        current_user: Some(&user.id),
        password,
        browser,
        limited_client: app.limited_client(browser.client),
        limits,
    };
    authenticate(app, credentials).await
}

async fn authenticate(
    app: &AppState,
    credentials: Credentials<'_>,
) -> Result<Result<User, AuthenticationError>, AppError> {
    let (passwords, now) = (
        app.passwords_for(credentials.browser.client),
        app.clock.now(),
    );
    Ok(User::authenticate(&app.database, &passwords, credentials, now).await?)
}

/// The form's error: the password is wrong, or a limit is exceeded.
pub(in crate::controllers) fn form_errors(
    error: AuthenticationError,
    field: &'static str,
    message: &'static str,
) -> Errors {
    match error {
        AuthenticationError::InvalidCredentials => Errors::one(field, message),
        AuthenticationError::RateLimited(exceeded) => too_many_errors(exceeded),
    }
}

/// Shows the form again, with the error's status.
pub(in crate::controllers) fn respond(
    error: AuthenticationError,
    page: impl IntoResponse,
) -> Response {
    match error {
        AuthenticationError::InvalidCredentials => unprocessable(page),
        AuthenticationError::RateLimited(exceeded) => too_many(exceeded, page),
    }
}
