//! Reads the session of a request's cookie, asks the guard, and sets the cookie if a token was
//! issued or the session ended. A login also sets the device cookie of a new browser.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::middleware::access::Guard;
use crate::middleware::cookie;
use crate::models::device::DEVICE_LIFE;
use crate::models::session::SessionRow;
use crate::models::token::Token;
use crate::session::{CookieChange, Session};
use crate::state::AppState;

const COOKIE: &str = "session";

/// A response extension with the username of the logged-in user, for error pages.
#[derive(Clone)]
pub struct LoggedInAs(pub String);

/// Gives the request its session, by one query for session and user. A cookie without a
/// session is left alone: a request that ran while the token changed must not remove the new
/// cookie.
pub async fn with_session(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let app = &guard.app;
    let token = cookie::read(app, request.headers(), COOKIE).map(Token::received);
    let session = match find(app, token, request.method().clone()).await {
        Ok(session) => session,
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(session.clone());
    let mut response = match guard.refuse(&session, &mut request).await {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let status = response.status();
    if (status.is_client_error() || status.is_server_error())
        && let Some(user) = session.user()
    {
        let logged_in_as = LoggedInAs(user.username.clone());
        response.extensions_mut().insert(logged_in_as);
    }
    save(app, &session, response).await
}

async fn find(app: &AppState, token: Option<Token>, method: Method) -> Result<Session, AppError> {
    let now = app.clock.now();
    let row = match token {
        Some(token) => SessionRow::find(&app.session_reader, &token, now).await?,
        None => None,
    };
    if method != Method::HEAD
        && let Some(row) = &row
    {
        record_activity(app, row, now).await;
    }
    Ok(Session::new(&app.database, row, now, &method))
}

/// Extends the idle time and records the user's visit, once a minute. A failure doesn't fail
/// the request.
async fn record_activity(app: &AppState, row: &SessionRow, now: i64) {
    if row.is_touch_due(now)
        && let Err(error) = row.touch(&app.database, now).await
    {
        tracing::warn!(event = "activity_not_noted", %error, "could not record activity");
    }
    if let Some((user, _)) = &row.login
        && user.is_touch_due(now)
        && let Err(error) = user.touch(&app.database, now).await
    {
        tracing::warn!(event = "activity_not_noted", %error, "could not record a visit");
    }
}

/// Writes flash messages, whatever the response's status, and sets the cookie.
async fn save(app: &AppState, session: &Session, mut response: Response) -> Response {
    // Sets the cookie even if this fails: its token is already committed.
    if let Err(error) = session.save().await {
        response = error.into_response();
    }
    let (value, max_age, device) = match session.take_cookie_change() {
        CookieChange::Keep => return response,
        CookieChange::Remove => (String::new(), Some(0), None),
        CookieChange::Set(issued) => {
            let device = issued.device.map(|token| token.expose().to_owned());
            (issued.token.expose().to_owned(), issued.max_age, device)
        }
    };
    let session = cookie::build(app, COOKIE, value, max_age);
    let device = device.map(|token| cookie::build(app, cookie::DEVICE, token, Some(DEVICE_LIFE)));
    for cookie in [Some(session), device].into_iter().flatten() {
        match HeaderValue::from_str(&cookie.to_string()) {
            Ok(value) => response.headers_mut().append(header::SET_COOKIE, value),
            Err(_) => return AppError::MissingLayer("cookie").into_response(),
        };
    }
    response
}
