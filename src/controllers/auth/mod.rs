//! Registration, login, logout and reauthentication.

pub mod password_check;
pub mod reauth;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::HeaderName;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::controllers::password::check_strength;
use crate::controllers::{onwards, too_many, too_many_errors, unprocessable};
use crate::error::AppError;
use crate::extractors::{Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::auth::{LoginForm, NextQuery, RegisterForm};
use crate::forms::local_path::LocalPath;
use crate::forms::phone_number::country_of;
use crate::models::activity::{Activity, Happening};
use crate::models::authentication::Refused;
use crate::models::challenge::{Challenge, NewChallenge, NewLogin, Outcome, Purpose};
use crate::models::client::Client;
use crate::models::rate_limit::{Attempt, REJECTED_REGISTRATIONS, refund};
use crate::models::user::{SaveError, User, UserId};
use crate::session::Session;
use crate::state::AppState;
use crate::views::auth::{LoginPage, LogoutPage, RegisterPage};
use crate::views::layout::{Kind, Message};

const USERNAME_TAKEN: &str = "Please use a different username";
const EMAIL_TAKEN: &str = "Please use a different email address";

/// `GET /register`
pub async fn register_form(page: Page) -> Result<Response, AppError> {
    register_page(&page, &RegisterForm::default(), Errors::default()).await
}

/// `POST /register`. Before any work it counts as a registration and as a rejected one; the
/// result decides which of the two is refunded.
pub async fn register(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    Form(form): Form<RegisterForm>,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let taken = limits.take(&mut connection, "", now).await?;
    drop(connection); // hashing is slow: other requests need the connection
    let attempt = match taken {
        Ok(attempt) => attempt,
        Err(exceeded) => {
            let errors = too_many_errors(exceeded);
            let shown = register_page(&page, &form, errors).await?;
            return Ok(too_many(exceeded, shown));
        }
    };
    let rejection = attempt.under(&[REJECTED_REGISTRATIONS]);
    let (errors, refunded) = match create(&app, &client, &form, &rejection).await {
        Ok(Ok(id)) => return registered(&session, &id).await,
        Ok(Err(errors)) => (Ok(errors), attempt.not_under(&[REJECTED_REGISTRATIONS])),
        // A flood that keeps the hashing busy must not consume other people's attempts.
        Err(error) => (Err(error), attempt),
    };
    refund(&mut *app.database.acquire().await?, &refunded).await?;
    Ok(unprocessable(register_page(&page, &form, errors?).await?))
}

/// Creates the account, or returns the errors by field.
async fn create(
    app: &AppState,
    client: &Client,
    form: &RegisterForm,
    rejection: &Attempt,
) -> Result<Result<UserId, Errors>, AppError> {
    let new = match form.validate() {
        Ok(new) => new,
        Err(errors) => return Ok(Err(errors)),
    };
    let (name, email) = (&new.username, &new.email);
    if let Err(errors) = check_strength(app, client, &new.password, name, email).await? {
        return Ok(Err(errors));
    }
    let (passwords, now) = (app.passwords_for(client), app.clock.now());
    match User::create(&app.database, &passwords, new, rejection, now).await {
        Ok(id) => Ok(Ok(id)),
        Err(SaveError::UsernameTaken) => Ok(Err(Errors::one("username", USERNAME_TAKEN))),
        Err(SaveError::EmailTaken) => Ok(Err(Errors::one("email", EMAIL_TAKEN))),
        Err(SaveError::RateLimited(exceeded)) => Ok(Err(too_many_errors(exceeded))),
        Err(SaveError::Other(error)) => Err(error.into()),
    }
}

async fn registered(session: &Session, id: &UserId) -> Result<Response, AppError> {
    let user = id.as_str();
    tracing::info!(event = "registered", user, "an account was made");
    let welcome = "You have successfully registered. Login to continue";
    session.add_message(Kind::Success, welcome).await?;
    Ok(Redirect::to("/login").into_response())
}

async fn register_page(
    page: &Page,
    form: &RegisterForm,
    errors: Errors,
) -> Result<Response, AppError> {
    let page = RegisterPage {
        layout: page.layout("Register").await?,
        username: form.username.clone(),
        email: form.email.clone(),
        errors,
    };
    Ok(page.into_response())
}

/// `GET /login`. After a redirect from another page it says why. `next` alone tells it so, and
/// visitors need no session. All other visitors get the same page, which is rendered once.
pub async fn login_form(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Query(query): Query<NextQuery>,
) -> Result<Response, AppError> {
    let is_everybodys = session.row().is_none() && !query.was_sent();
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
    if query.was_sent() && layout.messages.is_empty() {
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
        Some(phone) => half_login(&app, &session, &user, phone, &form, &client).await?,
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
    let what = Happening::LoggedIn;
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
    Ok(Some(onwards(form.next().as_ref())))
}

/// Opens a challenge for an account with two-factor authentication, and a session that may
/// complete it. If no code could be sent, the next page says so.
async fn half_login(
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
    tracing::info!(
        event = "login_failed",
        "a name and a password were not accepted"
    );
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
        let what = Happening::LoggedOut;
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
