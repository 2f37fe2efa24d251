//! Login and logout; beside them registration and reauthentication.

pub mod password_check;
pub mod reauth;
pub mod register;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::HeaderName;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::controllers::redirect_to_next;
use crate::error::AppError;
use crate::extractors::{Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::auth::{LoginForm, NextQuery};
use crate::forms::local_path::LocalPath;
use crate::forms::phone_number::country_of;
use crate::models::activity::{Activity, Event};
use crate::models::authentication::Refused;
use crate::models::challenge::{Challenge, NewChallenge, NewLogin, Outcome, Purpose};
use crate::models::client::Client;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::auth::{LoginPage, LogoutPage};
use crate::views::layout::{Kind, Message};

/// `GET /login`. After a redirect from another page it says why. `next` alone tells it so, and
/// visitors need no session. All other visitors get the same page, which is rendered once.
pub async fn login_form(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Query(query): Query<NextQuery>,
) -> Result<Response, AppError> {
    let is_everybodys = session.row().is_none() && !query.has_next();
    if is_everybodys && let Some(text) = app.login_page.get() {
        return Ok(Html(text.clone()).into_response());
    }
    let page = login_page(&app, &session, &page, &query).await?;
    if is_everybodys && let Ok(text) = page.render() {
        let text = app.login_page.get_or_init(|| text.into());
        return Ok(Html(text.clone()).into_response());
    }
    Ok(page.into_response())
}

async fn login_page(
    app: &AppState,
    session: &Session,
    page: &Page,
    query: &NextQuery,
) -> Result<LoginPage, AppError> {
    let awaited = match session.challenge() {
        Some(id) => Challenge::find_open(&app.database, id, app.clock.now()).await?,
        None => None,
    };
    let mut layout = page.layout("Login").await?;
    if query.has_next() && layout.messages.is_empty() {
        let text = "Please log in to access this page.".to_owned();
        layout.messages.push(Message {
            kind: Kind::Info,
            text,
        });
    }
    Ok(LoginPage {
        layout,
        username: String::new(),
        next: query.next().map(|next| next.as_str().to_owned()),
        half_done: awaited.is_some(),
        remember_me: false,
        errors: Errors::default(),
    })
}

/// `POST /login`
pub async fn login(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    Form(form): Form<LoginForm>,
) -> Result<Response, AppError> {
    let user = match password_check::of_login(&app, &client, &limits, &form).await? {
        Ok(user) => user,
        Err(why) => return login_refused(&page, &form, why).await,
    };
    let answer = match &user.verification_phone {
        Some(phone) => start_login_challenge(&app, &session, &user, phone, &form, &client).await?,
        None => full_login(&app, &session, &user, &form, &client).await?,
    };
    match answer {
        Some(response) => Ok(response),
        None => login_refused(&page, &form, Refused::Wrong).await,
    }
}

/// Logs in an account without two-factor authentication. `None` if the account changed since
/// the password was checked.
async fn full_login(
    app: &AppState,
    session: &Session,
    user: &User,
    form: &LoginForm,
    client: &Client,
) -> Result<Option<Response>, AppError> {
    let (now, remember) = (app.clock.now(), form.remember_me());
    let mut transaction = app.database.begin().await?;
    let begun = session
        .begin_login(
            &mut transaction,
            &user.id,
            user.auth_version,
            remember,
            client,
            now,
        )
        .await?;
    let Some(begun) = begun else {
        return Ok(None);
    };
    let what = Event::LoggedIn;
    Activity::record(&mut transaction, &user.id, what, Some(client), now).await?;
    transaction.commit().await?;
    session.send(begun.issued);
    if begun.has_mail {
        app.mail.wake();
    }
    tracing::info!(
        event = "login",
        user = user.id.as_str(),
        amr = "pwd",
        "logged in"
    );
    Ok(Some(redirect_to_next(form.next().as_ref())))
}

/// Opens a challenge for an account with two-factor authentication, and a session that may
/// complete it. If no code could be sent, the next page says so.
async fn start_login_challenge(
    app: &AppState,
    session: &Session,
    user: &User,
    phone: &str,
    form: &LoginForm,
    client: &Client,
) -> Result<Option<Response>, AppError> {
    let (next, now) = (form.next(), app.clock.now());
    let new = NewChallenge {
        user,
        purpose: Purpose::LogIn,
        phone,
        next: next.as_ref().map(LocalPath::as_str),
        remember: form.remember_me(),
        country: country_of(phone),
        limits: &app.send_limits(phone, client),
        session: None,
        login: Some(NewLogin {
            client,
            replaces: session.challenge(),
        }),
    };
    let Ok(challenge) = Challenge::open(&app.database, &app.verify, new, now).await? else {
        return Ok(None);
    };
    let mut transaction = app.database.begin().await?;
    let issued = session
        .begin_pending_login(&mut transaction, &challenge, now)
        .await?;
    transaction.commit().await?;
    session.send(issued);
    tracing::info!(
        event = "login_half",
        user = user.id.as_str(),
        amr = "pwd",
        "password right"
    );
    Ok(Some(Redirect::to("/verify_2fa").into_response()))
}

async fn login_refused(page: &Page, form: &LoginForm, why: Refused) -> Result<Response, AppError> {
    tracing::info!(event = "login_failed", "login failed");
    let shown = LoginPage {
        layout: page.layout("Login").await?,
        username: form.username.clone(),
        next: form.next().map(|next| next.as_str().to_owned()),
        half_done: false,
        remember_me: form.remember_me(),
        errors: password_check::errors(why, "form", "Invalid username or password"),
    };
    Ok(password_check::answer(why, shown))
}

/// `GET /logout`: a page with a button, since a link must never log a user out.
pub async fn logout_form(page: Page) -> Result<LogoutPage, AppError> {
    Ok(LogoutPage {
        layout: page.layout("Log out").await?,
    })
}

/// `POST /logout`: ends the session on the server with its open challenge, and makes the
/// browser clear its cache (ASVS 14.3.1).
pub async fn logout(
    State(app): State<AppState>,
    session: Session,
    client: Client,
) -> Result<impl IntoResponse, AppError> {
    let now = app.clock.now();
    let begun = match session.challenge() {
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
        let what = Event::LoggedOut;
        Activity::record(&mut transaction, &user.id, what, Some(&client), now).await?;
    }
    transaction.commit().await?;
    if let Some(challenge) = begun {
        challenge
            .close(&app.database, &app.verify, Outcome::Cancelled, now)
            .await?;
    }
    if let Some(user) = session.user() {
        tracing::info!(event = "logout", user = user.id.as_str(), "logged out");
    }
    let forget = (
        HeaderName::from_static("clear-site-data"),
        "\"cache\", \"storage\"",
    );
    Ok(([forget], Redirect::to("/login")))
}
