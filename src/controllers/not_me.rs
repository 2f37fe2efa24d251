//! The "This wasn't me" link of the notices. It proves only that someone reads the account's
//! email, so it revokes access and grants none.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;

use crate::controllers::end_verifications;
use crate::controllers::page_cookie::PageCookie;
use crate::error::AppError;
use crate::extractors::{Form, Page};
use crate::forms::not_me::NotMeForm;
use crate::models::activity::{Activity, Event};
use crate::models::challenge::Challenge;
use crate::models::client::Client;
use crate::models::factor::{RecoveryCode, Undo};
use crate::models::mail_token::{LinkPurpose, LinkUse, MailToken};
use crate::models::outbox::{Mail, NoticeKind};
use crate::models::session::SessionRow;
use crate::models::token::Token;
use crate::models::user::{User, UserId};
use crate::models::{Connection, Error};
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::Layout;
use crate::views::not_me::{DonePage, ExpiredPage, Factor, NotMePage, describe};

/// The cookie with the link's token. It lives long enough to read the page.
const TOKEN_COOKIE: PageCookie = PageCookie::new("not_me_token", 15 * 60);

/// `GET /not_me/{token}`: moves the token from the address to a cookie. It consumes nothing,
/// since email scanners open links too.
pub async fn open(
    State(app): State<AppState>,
    jar: CookieJar,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, AppError> {
    let token = Token::received(path.as_ref().map_or("", |Path(token)| token));
    let now = app.clock.now();
    let jar = match MailToken::find_not_me(&app.database, &token, now).await? {
        Some(_) => TOKEN_COOKIE.set(&app, jar, token.expose()),
        None => TOKEN_COOKIE.remove(&app, jar),
    };
    Ok((jar, Redirect::to("/not_me")).into_response())
}

/// `GET /not_me`: explains the effect of the button.
pub async fn form(
    State(app): State<AppState>,
    page: Page,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let layout = page.layout("This wasn't me").await?;
    let Some((link, event)) = find(&app, &headers).await? else {
        return Ok(ExpiredPage { layout }.into_response());
    };
    let user = User::find(&app.database, &link.user_id).await?;
    let (mut connection, now) = (app.database.acquire().await?, app.clock.now());
    let recovery_codes_end =
        MailToken::may_compromise_recovery_codes(&mut connection, &link.user_id, now).await?;
    let undo = find_undo(&mut connection, &link, event).await?;
    drop(connection);
    Ok(NotMePage {
        layout,
        link: link.name().to_owned(),
        username: user.map(|user| user.username).unwrap_or_default(),
        sentence: describe(event),
        factor: Factor::new(event, &undo),
        recovery_codes_end,
    }
    .into_response())
}

/// `POST /not_me`: consumes the link and locks the account.
pub async fn lock(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    headers: HeaderMap,
    jar: CookieJar,
    Form(form): Form<NotMeForm>,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let found = find(&app, &headers).await?;
    // The cookie holds the later of two links, but the form may belong to the older one.
    let found = found.filter(|(link, _)| form.link == link.name());
    let Some((link, event)) = found else {
        return Ok(Redirect::to("/not_me").into_response());
    };
    let user = &link.user_id;
    let mut transaction = app.database.begin().await?;
    // All transactions lock the account's row first: different orders could deadlock.
    User::make_password_unusable(&mut transaction, user).await?;
    let recovery_codes_ended =
        delete_compromised_recovery_codes(&mut transaction, user, now).await?;
    if link.consume(&mut transaction, now).await? == LinkUse::Expired {
        return Ok(Redirect::to("/not_me").into_response());
    }
    let undo = find_undo(&mut transaction, &link, event).await?;
    undo.apply(&mut transaction, now).await?;
    let closed = revoke_all_access(&mut transaction, user, now).await?;
    Activity::record(&mut transaction, user, Event::NotMe, Some(&client), now).await?;
    transaction.commit().await?;
    app.mail.wake();
    let restores = !undo.is_empty();
    tracing::warn!(event = "not_me", user = user.as_str(), notice = ?event, restores, "account locked");
    end_verifications(&app, closed, now).await?;
    let done = DonePage {
        layout: logged_out_layout(&app, &session, &page, user).await?,
        factor: Factor::new(event, &undo),
        recovery_codes_ended,
    };
    let jar = TOKEN_COOKIE.remove(&app, jar);
    Ok((jar, done).into_response())
}

/// The layout of the last page. If this browser was logged in to the account, that session
/// ended with the others.
async fn logged_out_layout(
    app: &AppState,
    session: &Session,
    page: &Page,
    user: &UserId,
) -> Result<Layout, AppError> {
    let mut layout = page.layout("Your account is locked").await?;
    if session.user().is_some_and(|here| here.id == *user) {
        session.end(&mut *app.database.acquire().await?).await?;
        layout.username = None;
    }
    Ok(layout)
}

/// Deletes the recovery codes if an intruder may have made or used them. Returns whether it did.
/// It runs before the link is consumed, which consumes the user's other links: one of them may be
/// about the event that compromised the codes.
async fn delete_compromised_recovery_codes(
    connection: &mut Connection,
    user: &UserId,
    now: i64,
) -> Result<bool, Error> {
    let are_compromised = MailToken::may_compromise_recovery_codes(connection, user, now).await?;
    if are_compromised {
        RecoveryCode::delete_all(connection, user).await?;
    }
    Ok(are_compromised)
}

/// Revokes all access, and queues the email with a reset link: the only way back in, together
/// with the second factor. Returns the verifications to end.
async fn revoke_all_access(
    connection: &mut Connection,
    user: &UserId,
    now: i64,
) -> Result<Vec<String>, Error> {
    SessionRow::end_all(connection, user).await?;
    let closed = Challenge::close_all(connection, user, now).await?;
    // An email that was sent before holds a revoked link.
    MailToken::delete_resets(connection, user).await?;
    Mail::ResetPassword.enqueue(connection, user, now).await?;
    Ok(closed)
}

/// Finds the changes of factors that the link undoes.
async fn find_undo(
    connection: &mut Connection,
    link: &MailToken,
    event: NoticeKind,
) -> Result<Undo, Error> {
    match event.changes_factors() {
        true => Undo::find(connection, &link.user_id, link.event_at).await,
        false => Ok(Undo::default()),
    }
}

/// The valid link in the browser's cookie, with the event of its notice.
async fn find(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Option<(MailToken, NoticeKind)>, Error> {
    let Some(value) = TOKEN_COOKIE.value(app, headers) else {
        return Ok(None);
    };
    let token = Token::received(value);
    let found = MailToken::find_not_me(&app.database, &token, app.clock.now()).await?;
    Ok(found.and_then(|link| match link.purpose.clone() {
        LinkPurpose::NotMe { event } => Some((link, event)),
        LinkPurpose::ResetPassword => None,
    }))
}
