//! Password resets: requesting the link, opening it, using it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use secrecy::SecretString;

use super::{hash_password, strong_password};
use crate::controllers::page_cookie::PageCookie;
use crate::controllers::{end_verifications, too_many, too_many_errors, unprocessable};
use crate::error::AppError;
use crate::extractors::{Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::password::{ResetForm, ResetRequestForm};
use crate::models::activity::{Activity, Event};
use crate::models::challenge::Challenge;
use crate::models::mail_token::{LinkUse, MailToken};
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{RESET_LIFE, RateLimitExceeded, refund_login_sends};
use crate::models::reset_request;
use crate::models::session::SessionRow;
use crate::models::token::Token;
use crate::models::user::User;
use crate::session::Session;
use crate::session::redirects::redirect_with_message;
use crate::state::AppState;
use crate::views::layout::{FlashMessage, MessageKind};
use crate::views::password::{ResetPage, ResetRequestPage};

const EXPIRED: &str = "This link has expired.";

/// The cookie with the link's token. It lives as long as the link.
const TOKEN_COOKIE: PageCookie = PageCookie::new("reset_token", RESET_LIFE);

/// The cookie that shows a visitor without a session that the link has expired, since a GET
/// request starts no session. A minute is enough for the redirect.
const EXPIRED_COOKIE: PageCookie = PageCookie::new("reset_expired", 60);

/// `GET /reset_password_request`
pub async fn request_form(
    State(app): State<AppState>,
    method: Method,
    headers: HeaderMap,
    jar: CookieJar,
    page: Page,
) -> Result<Response, AppError> {
    let mut shown = request_page(&page, String::new(), Errors::default()).await?;
    if method == Method::HEAD {
        return Ok(shown.into_response()); // its body is not shown
    }
    if EXPIRED_COOKIE.value(&app, &headers).is_some() {
        shown.layout.messages.push(FlashMessage {
            kind: MessageKind::Info,
            text: EXPIRED.to_owned(),
        });
    }
    Ok((EXPIRED_COOKIE.remove(&app, jar), shown).into_response())
}

/// `POST /reset_password_request`: the same work and answer whether the address has an account
/// or not. The email worker looks it up.
pub async fn request(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    limits: RouteLimits,
    Form(form): Form<ResetRequestForm>,
) -> Result<Response, AppError> {
    let email = match form.parse() {
        Ok(email) => email,
        Err(errors) => {
            let shown = request_page(&page, form.email.clone(), errors).await?;
            return Ok(unprocessable(shown));
        }
    };
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if let Err(exceeded) = limits.take(&mut transaction, "", now).await? {
        drop(transaction);
        let errors = too_many_errors(exceeded);
        let shown = request_page(&page, form.email.clone(), errors).await?;
        return Ok(too_many(exceeded, shown));
    }
    reset_request::add(&mut transaction, email, now).await?;
    transaction.commit().await?;
    tracing::info!(
        event = "password_reset_requested",
        "password reset requested"
    );
    let sentence = "Check your email for the instructions to reset your password";
    session.add_message(MessageKind::Info, sentence).await?;
    // The request writes nothing after it wakes the worker. On SQLite it would wait for the
    // worker, and longer if the address has an account.
    session.save().await?;
    app.mail.wake();
    Ok(Redirect::to("/login").into_response())
}

async fn request_page(
    page: &Page,
    email: String,
    errors: Errors,
) -> Result<ResetRequestPage, AppError> {
    Ok(ResetRequestPage {
        layout: page.layout("Forgot your password?").await?,
        email,
        errors,
    })
}

/// `GET /reset_password/{token}`: the emailed link. It changes nothing, since email scanners
/// open links too. It redirects to an address without the token, which keeps the token out of
/// histories, logs and `Referer`.
pub async fn link(
    State(app): State<AppState>,
    session: Session,
    jar: CookieJar,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, AppError> {
    let Ok(Path(token)) = path else {
        return redirect_link_expired(&app, &session, jar).await; // it is not UTF-8
    };
    let token = Token::received(&token);
    match MailToken::find_reset(&app.database, &token, app.clock.now()).await? {
        Some(_) => {
            let jar = TOKEN_COOKIE.set(&app, jar, token.expose());
            Ok((jar, Redirect::to("/reset_password")).into_response())
        }
        None => redirect_link_expired(&app, &session, jar).await,
    }
}

/// Redirects to the form that requests another link, with a flash message: in the session if
/// there is one, otherwise in a cookie.
async fn redirect_link_expired(
    app: &AppState,
    session: &Session,
    jar: CookieJar,
) -> Result<Response, AppError> {
    let page = "/reset_password_request";
    if session.row().is_some() {
        return redirect_with_message(session, MessageKind::Info, EXPIRED, page).await;
    }
    Ok((EXPIRED_COOKIE.set(app, jar, "1"), Redirect::to(page)).into_response())
}

/// The link in the browser's cookie and its user, if it is valid.
async fn find_link(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Option<(MailToken, User)>, AppError> {
    let Some(token) = TOKEN_COOKIE.value(app, headers) else {
        return Ok(None);
    };
    let token = Token::received(token);
    let found = MailToken::find_reset(&app.database, &token, app.clock.now()).await?;
    let Some(link) = found else { return Ok(None) };
    let user = User::find(&app.database, &link.user_id).await?;
    Ok(user.map(|user| (link, user)))
}

/// `GET /reset_password`
pub async fn form(
    State(app): State<AppState>,
    session: Session,
    headers: HeaderMap,
    jar: CookieJar,
    page: Page,
) -> Result<Response, AppError> {
    match find_link(&app, &headers).await? {
        Some((link, user)) => {
            let shown = reset_page(&page, &link, user.username, Errors::default()).await?;
            Ok(shown.into_response())
        }
        None => redirect_link_expired(&app, &session, jar).await,
    }
}

/// `POST /reset_password`: sets a new password without a login.
pub async fn reset(
    State(app): State<AppState>,
    session: Session,
    headers: HeaderMap,
    jar: CookieJar,
    page: Page,
    limits: RouteLimits,
    Form(form): Form<ResetForm>,
) -> Result<Response, AppError> {
    let Some((link, user)) = find_link(&app, &headers).await? else {
        return redirect_link_expired(&app, &session, jar).await;
    };
    // The cookie holds the later of two links, but the form may belong to the older one.
    if !form.may_be_about(link.name()) {
        return Ok(Redirect::to("/reset_password").into_response());
    }
    let password = match strong_password(&app, &limits.client, form.validate(), &user).await? {
        Ok(password) => password,
        Err(errors) => {
            let shown = reset_page(&page, &link, user.username, errors).await?;
            return Ok(unprocessable(shown));
        }
    };
    match set_password(&app, &session, &limits, &link, &user, password).await? {
        ResetOutcome::Done => {}
        ResetOutcome::Expired => return redirect_link_expired(&app, &session, jar).await,
        ResetOutcome::Limited(exceeded) => {
            let errors = too_many_errors(exceeded);
            let shown = reset_page(&page, &link, user.username, errors).await?;
            return Ok(too_many(exceeded, shown));
        }
    }
    let id = user.id.as_str();
    tracing::info!(event = "password_reset", user = id, "password reset");
    let jar = TOKEN_COOKIE.remove(&app, jar);
    Ok((jar, Redirect::to("/login")).into_response())
}

/// The outcome of a reset.
enum ResetOutcome {
    Done,
    /// The link was used or has expired.
    Expired,
    Limited(RateLimitExceeded),
}

/// Sets the password and consumes the link. Revokes all access by the old password, in this
/// browser too. Two-factor authentication stays.
async fn set_password(
    app: &AppState,
    session: &Session,
    limits: &RouteLimits,
    link: &MailToken,
    user: &User,
    password: SecretString,
) -> Result<ResetOutcome, AppError> {
    let client = &limits.client;
    let hash = hash_password(app, client, password).await?;
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    // All transactions lock the account's row first: different orders could deadlock.
    let changed = User::set_password(&mut transaction, &user.id, user.auth_version, &hash).await?;
    if !changed || link.consume(&mut transaction, now).await? == LinkUse::Expired {
        return Ok(ResetOutcome::Expired);
    }
    if let Err(exceeded) = limits.take(&mut transaction, user.id.as_str(), now).await? {
        return Ok(ResetOutcome::Limited(exceeded));
    }
    let sentence = "Your password has been reset.";
    let mut issued = None;
    if session.user().is_some_and(|current| current.id == user.id) {
        let ended = session.end_with_message(&mut transaction, MessageKind::Success, sentence, now);
        issued = Some(ended.await?);
    }
    SessionRow::end_all(&mut transaction, &user.id).await?;
    let closed = Challenge::close_all(&mut transaction, &user.id, now).await?;
    refund_login_sends(&mut transaction, &user.id, now).await?;
    Notice::new(NoticeKind::PasswordReset, client, now)
        .enqueue(&mut transaction, &user.id)
        .await?;
    let event = Event::PasswordReset;
    Activity::record(&mut transaction, &user.id, event, Some(client), now).await?;
    transaction.commit().await?;
    app.mail.wake();
    match issued {
        Some(issued) => session.send(issued),
        None => session.add_message(MessageKind::Success, sentence).await?,
    }
    end_verifications(app, closed, now).await?;
    Ok(ResetOutcome::Done)
}

async fn reset_page(
    page: &Page,
    link: &MailToken,
    username: String,
    errors: Errors,
) -> Result<ResetPage, AppError> {
    Ok(ResetPage {
        layout: page.layout("Set a new password").await?,
        username,
        link: link.name().to_owned(),
        errors,
    })
}
