//! Login and logout. The submodules hold registration and reauthentication.

pub mod password_check;
pub mod reauth;
pub mod register;

use axum::extract::{Query, State};
use axum::http::header::HeaderName;
use axum::response::{IntoResponse, Redirect, Response};

use crate::controllers::{redirect_to_challenge, redirect_to_next};
use crate::error::AppError;
use crate::extractors::{DeviceCookie, Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::auth::{LoginForm, NextQuery};
use crate::forms::local_path::LocalPath;
use crate::models::activity::{Activity, Event};
use crate::models::authentication::AuthenticationError;
use crate::models::challenge::{Challenge, NewChallenge, NewLogin, Outcome, Purpose};
use crate::models::client::Client;
use crate::models::device::{Browser, Device};
use crate::models::factor::Factor;
use crate::models::login::{LoginProof, ProvenLogin};
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::auth::{LoginPage, LogoutPage};
use crate::views::layout::{FlashMessage, MessageKind};

/// `GET /login`. `next` shows that another page redirected here, so the page says why and the
/// visitor needs no session.
pub async fn login_form(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Query(query): Query<NextQuery>,
) -> Result<LoginPage, AppError> {
    let open_challenge = match session.challenge() {
        Some(id) => Challenge::find_open(&app.database, id, app.clock.now()).await?,
        None => None,
    };
    let mut layout = page.layout("Login").await?;
    if query.has_next() && !query.with_recovery_code() && layout.messages.is_empty() {
        let text = "Please log in to access this page.".to_owned();
        layout.messages.push(FlashMessage {
            kind: MessageKind::Info,
            text,
        });
    }
    Ok(LoginPage {
        layout,
        username: String::new(),
        next: query.next().map(|next| next.as_str().to_owned()),
        with_recovery_code: query.with_recovery_code(),
        has_pending_login: open_challenge.is_some(),
        remember_me: false,
        errors: Errors::default(),
    })
}

/// `POST /login`
pub async fn login(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    DeviceCookie(device): DeviceCookie,
    limits: RouteLimits,
    Form(form): Form<LoginForm>,
) -> Result<Response, AppError> {
    let browser = Browser {
        client: &limits.client,
        device: device.as_ref(),
    };
    let result = match password_check::check_login(&app, browser, &limits, &form).await? {
        Ok(user) => match find_proof(&app, &user, browser).await? {
            None => start_login_challenge(&app, &session, &user, &form, &limits.client).await?,
            Some(proof) => complete_login(&app, &session, &user, &form, browser, proof).await?,
        },
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => Ok(response),
        Err(error) => reject_login(&page, &form, error).await,
    }
}

/// Returns the proof that a login needs no code, or `None` if it needs one.
async fn find_proof(
    app: &AppState,
    user: &User,
    browser: Browser<'_>,
) -> Result<Option<LoginProof>, AppError> {
    if !user.has_two_factor() {
        return Ok(Some(LoginProof::Password));
    }
    if app.config.trust_device_days == 0 {
        return Ok(None);
    }
    let (version, now) = (user.auth_version, app.clock.now());
    let mut connection = app.database.acquire().await?;
    let is_trusted =
        Device::is_trusted(&mut connection, &user.id, version, browser.device, now).await?;
    Ok(is_trusted.then_some(LoginProof::TrustedDevice))
}

/// Logs in with the password alone. The login fails if the account changed since the password
/// was checked.
async fn complete_login(
    app: &AppState,
    session: &Session,
    user: &User,
    form: &LoginForm,
    browser: Browser<'_>,
    proof: LoginProof,
) -> Result<Result<Response, AuthenticationError>, AppError> {
    let login = ProvenLogin {
        user: &user.id,
        auth_version: user.auth_version,
        proof,
        remember: form.remember_me(),
        browser,
    };
    let mut transaction = app.database.begin().await?;
    let begun = session
        .begin_login(&mut transaction, &login, app.clock.now())
        .await?;
    let Some(begun) = begun else {
        return Ok(Err(AuthenticationError::InvalidCredentials));
    };
    transaction.commit().await?;
    session.send(begun.issued);
    if begun.has_mail {
        app.mail.wake();
    }
    let user = user.id.as_str();
    match proof {
        LoginProof::TrustedDevice => {
            tracing::info!(
                event = "login",
                user,
                amr = "pwd",
                "logged in on a trusted device"
            );
        }
        _ => tracing::info!(event = "login", user, amr = "pwd", "logged in"),
    }
    Ok(Ok(redirect_to_next(form.next().as_ref())))
}

/// Opens a challenge for an account with two-factor authentication, and a pending session that
/// may complete it. The next page says if no code could be sent.
async fn start_login_challenge(
    app: &AppState,
    session: &Session,
    user: &User,
    form: &LoginForm,
    client: &Client,
) -> Result<Result<Response, AuthenticationError>, AppError> {
    let (next, now) = (form.next(), app.clock.now());
    let Some(factor) = Factor::first(&app.database, &user.id).await? else {
        return Ok(Err(AuthenticationError::InvalidCredentials)); // it was removed just now
    };
    let with_recovery_code = form.with_recovery_code();
    let phone = factor.phone_number().filter(|_| !with_recovery_code);
    let new = NewChallenge {
        user,
        purpose: Purpose::LogIn,
        factor: Some(&factor),
        phone,
        next: next.as_ref().map(LocalPath::as_str),
        session: session.row(),
        login: Some(NewLogin {
            client,
            remember: form.remember_me(),
        }),
    };
    let sender = app.code_sender(phone, client);
    let Ok(opened) = Challenge::open(&sender, new, now).await? else {
        return Ok(Err(AuthenticationError::InvalidCredentials));
    };
    session.send(opened.issued);
    let user = user.id.as_str();
    tracing::info!(event = "login_half", user, amr = "pwd", "password verified");
    Ok(Ok(redirect_to_challenge(with_recovery_code)))
}

async fn reject_login(
    page: &Page,
    form: &LoginForm,
    error: AuthenticationError,
) -> Result<Response, AppError> {
    tracing::info!(event = "login_failed", "login failed");
    let shown = LoginPage {
        layout: page.layout("Login").await?,
        username: form.username.clone(),
        next: form.next().map(|next| next.as_str().to_owned()),
        with_recovery_code: form.with_recovery_code(),
        has_pending_login: false,
        remember_me: form.remember_me(),
        errors: password_check::form_errors(error, "form", "Invalid username or password"),
    };
    Ok(password_check::respond(error, shown))
}

/// `GET /logout`. It shows a button, since a link must never log a user out.
pub async fn logout_form(page: Page) -> Result<LogoutPage, AppError> {
    Ok(LogoutPage {
        layout: page.layout("Log out").await?,
    })
}

/// `POST /logout`. It ends the session and its open challenge on the server, and makes the
/// browser clear its cache (ASVS 14.3.1).
pub async fn logout(
    State(app): State<AppState>,
    session: Session,
    client: Client,
) -> Result<impl IntoResponse, AppError> {
    let now = app.clock.now();
    let challenge = match session.challenge() {
        Some(id) => Challenge::find_open(&app.database, id, now).await?,
        None => None,
    };
    let mut transaction = app.database.begin().await?;
    if let Some(user) = session.user() {
        // All transactions lock the account's row first: different orders could deadlock.
        User::lock_in_any_state(&mut transaction, &user.id).await?;
    }
    session.end(&mut transaction).await?;
    if let Some(user) = session.user() {
        let event = Event::LoggedOut;
        Activity::record(&mut transaction, &user.id, event, Some(&client), now).await?;
    }
    transaction.commit().await?;
    if let Some(challenge) = challenge {
        challenge
            .close(&app.database, &app.verify, Outcome::Cancelled, now)
            .await?;
    }
    if let Some(user) = session.user() {
        tracing::info!(event = "logout", user = user.id.as_str(), "logged out");
    }
    let clear = HeaderName::from_static("clear-site-data");
    let clear = (clear, "\"cache\", \"storage\"");
    Ok(([clear], Redirect::to("/login")))
}
