//! Opens the session that a request's cookie names, has the guard say whether it may go
//! on, and answers with a cookie where a token was issued or the session ended.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, SameSite};
use tower::layer::layer_fn;
use tower::{Layer, Service};

use crate::config::Environment;
use crate::error::AppError;
use crate::middleware::access::Guard;
use crate::middleware::cookie;
use crate::models::session::{ACTIVITY_INTERVAL, SessionRow};
use crate::models::token::Token;
use crate::session::{CookieChange, Session};
use crate::state::AppState;

/// Who sent the request that a response refuses: for the error page's links.
#[derive(Clone)]
pub struct SignedIn(pub String);

/// Opens the session of each request, by one query for session and user. A cookie that
/// opens nothing is as good as none; it is left alone, since a request that was under way
/// while the token changed must not remove the new one.
///
/// A service, where `from_fn` would put what it calls into one more box. Reading the
/// session is in a box of its own, as are the guard's and the session's rare ways: the
/// future of each request, of somebody signed out too, would else have room for them.
#[derive(Clone)]
pub struct Sessions<S> {
    guard: Guard,
    inner: S,
}

/// Puts [`Sessions`] around what only the guard's visitors may call.
pub fn layer<S>(guard: Guard) -> impl Layer<S, Service = Sessions<S>> + Clone {
    layer_fn(move |inner| Sessions {
        guard: guard.clone(),
        inner,
    })
}

impl<S> Service<Request> for Sessions<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let next = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, next);
        Box::pin(open(self.guard.clone(), request, ready))
    }
}

async fn open<S>(guard: Guard, mut request: Request, mut inner: S) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let app = &guard.app;
    let method = request.method().clone();
    let token = cookie::value(request.headers(), cookie_name(app)).map(Token::received);
    let session = match opened(app, &method, token).await {
        Ok(session) => session,
        Err(error) => return Ok(error.into_response()),
    };
    request.extensions_mut().insert(session.clone());
    let mut response = match guard.refusal(&session, &mut request).await {
        Some(refusal) => refusal,
        None => inner.call(request).await?,
    };
    if let Some(user) = session.user() {
        let signed_in = SignedIn(user.username.clone());
        response.extensions_mut().insert(signed_in);
    }
    Ok(close(app, &session, response).await)
}

async fn opened(
    app: &AppState,
    method: &Method,
    token: Option<Token>,
) -> Result<Session, AppError> {
    let now = app.clock.now();
    let row = match token {
        Some(token) => Box::pin(SessionRow::find(&app.readers, &token, now)).await?,
        None => None,
    };
    if method != Method::HEAD
        && let Some(row) = &row
    {
        note_activity(app, row, now).await;
    }
    Ok(Session::new(&app.database, row, now, method))
}

/// Moves the idle end and the user's last visit, once a minute. That it could
/// not be written is no reason to refuse a page.
async fn note_activity(app: &AppState, row: &SessionRow, now: i64) {
    let is_due = row.last_active_at > now || now - row.last_active_at >= ACTIVITY_INTERVAL;
    if is_due && let Err(error) = row.touch(&app.database, now).await {
        tracing::warn!(event = "activity_not_noted", %error, "activity could not be noted");
    }
    if let Some((user, _)) = &row.login
        && user.is_touch_due(now)
        && let Err(error) = user.touch(&app.database, now).await
    {
        tracing::warn!(event = "activity_not_noted", %error, "a visit could not be noted");
    }
}

/// Writes what changed, whatever the response's status, and sets the cookie.
async fn close(app: &AppState, session: &Session, mut response: Response) -> Response {
    // The cookie is set all the same: a token that was committed must arrive.
    if let Err(error) = session.save().await {
        response = error.into_response();
    }
    let set_cookie = match session.take_cookie_change() {
        CookieChange::Keep => return response,
        CookieChange::Remove => set_cookie(app, "", Some(0)),
        CookieChange::Set(issued) => set_cookie(app, issued.token.expose(), issued.max_age),
    };
    match HeaderValue::from_str(&set_cookie) {
        Ok(value) => {
            response.headers_mut().append(header::SET_COOKIE, value);
            response
        }
        Err(_) => AppError::MissingLayer("cookie").into_response(),
    }
}

fn cookie_name(app: &AppState) -> &'static str {
    match app.config.environment {
        Environment::Production => "__Host-session",
        Environment::Development => "session",
    }
}

/// `Lax`, so that somebody who follows a link from a mail arrives signed in.
fn set_cookie(app: &AppState, value: &str, max_age: Option<i64>) -> String {
    let cookie = Cookie::build((cookie_name(app), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.environment == Environment::Production);
    match max_age {
        Some(seconds) => cookie.max_age(time::Duration::seconds(seconds)).to_string(),
        None => cookie.to_string(),
    }
}
