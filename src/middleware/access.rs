//! The guard admits a request to its route, or redirects it. `routes.rs` names the access of
//! each route.

use std::net::IpAddr;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::extractors::{DeclaredLimits, Pending};
use crate::forms::local_path::LocalPath;
use crate::forms::two_factor::VerifyForm;
use crate::middleware::client_address::ClientAddress;
use crate::models::challenge::{Challenge, Purpose};
use crate::models::rate_limit::RateLimit;
use crate::session::redirects::{
    redirect_expired, redirect_shown_once, redirect_to_login, redirect_with_message, with_next,
};
use crate::session::{Session, Visitor};
use crate::state::AppState;
use crate::views::layout::MessageKind;

/// Pages that a user without a second factor reaches although the site requires one: those that
/// add it.
const OPEN_WITHOUT_FACTOR: [&str; 4] = ["/enable_2fa", "/authenticator", "/reauth", "/security"];

/// Shown to a user who needs a second factor here.
pub const TWO_FACTOR_REQUIRED: &str = "This site requires two-factor authentication.";

/// Bytes of a form with a code.
const BODY_LIMIT: usize = 1024;

/// Which visitors a route admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Any,
    /// Visitors who are not logged in.
    Guest,
    User,
    /// Logged-in users who authenticated in the last ten minutes.
    Fresh,
    /// Visitors with an open challenge in this session.
    Pending,
    /// The local machine, in development and never through a proxy.
    Dev,
}

#[derive(Clone)]
pub struct Guard {
    pub app: AppState,
    pub access: Access,
    /// The path of the route, with parameters in braces.
    pub path: &'static str,
    /// The page with the form of this route, if that is another path.
    pub form_on: Option<&'static str>,
    /// The limits that the action takes.
    pub limits: &'static [RateLimit],
}

impl Guard {
    /// Admits a request with `None`, or redirects it to a page that lets the visitor in.
    pub async fn refuse(&self, session: &Session, request: &mut Request) -> Option<Response> {
        let user = session.user();
        let refusal = match self.access {
            Access::Any => None,
            Access::Guest => user.map(|_| Redirect::to("/home").into_response()),
            Access::User | Access::Fresh if user.is_none() => {
                Some(self.redirect_to("/login", request))
            }
            Access::User | Access::Fresh if self.lacks_required_factor(session) => {
                let (kind, page) = (MessageKind::Info, "/enable_2fa");
                let redirect = redirect_with_message(session, kind, TWO_FACTOR_REQUIRED, page);
                Some(redirect.await.into_response())
            }
            Access::User => None,
            Access::Fresh if session.is_recently_authenticated(self.app.clock.now()) => None,
            Access::Fresh => Some(self.redirect_to("/reauth", request)),
            Access::Pending => match find_pending(&self.app, session).await {
                Ok(challenge) => {
                    request.extensions_mut().insert(Pending(challenge));
                    None
                }
                Err(NotPending::Missing) if showed_recovery_codes(session, request).await => {
                    Some(redirect_shown_once(session).await.into_response())
                }
                Err(not_pending) => Some(not_pending.redirect(session).await),
            },
            Access::Dev if is_local(request) => None,
            Access::Dev => Some(AppError::NotFound.into_response()),
        };
        if refusal.is_none() {
            // None for a route without them, so that an action can't take an empty list.
            if !self.limits.is_empty() {
                request.extensions_mut().insert(DeclaredLimits(self.limits));
            }
        } else if self.access != Access::Guest {
            let (access, user) = (self.access, user.map(|user| user.id.as_str()));
            tracing::info!(event = "access_refused", ?access, user, "access refused");
        }
        refusal
    }

    /// Whether the site requires a second factor of the user, who has none, and this is no page
    /// that adds it.
    fn lacks_required_factor(&self, session: &Session) -> bool {
        self.app.config.require_two_factor
            && session.user().is_some_and(|user| !user.has_two_factor())
            && !OPEN_WITHOUT_FACTOR.contains(&self.path)
    }

    /// Redirects to `page`, and from there back to the page that was requested or that holds
    /// the form.
    fn redirect_to(&self, page: &str, request: &Request) -> Response {
        let uri = request.uri();
        let next = match (self.form_on, uri.path_and_query()) {
            (Some(page), _) => page,
            (None, Some(path)) if is_read(request.method()) => path.as_str(),
            (None, _) => uri.path(),
        };
        let next = LocalPath::parse(next).unwrap_or_else(LocalPath::home);
        Redirect::to(&with_next(page, &next)).into_response()
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the request repeats the code that turned two-factor authentication on, as a reload of
/// the page with the recovery codes does. Takes the request's body.
async fn showed_recovery_codes(session: &Session, request: &mut Request) -> bool {
    if request.method() != Method::POST || request.uri().path() != "/verify_2fa" {
        return false;
    }
    let body = std::mem::take(request.body_mut());
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return false;
    };
    match VerifyForm::read(&body) {
        Some(code) => session.showed_recovery_codes(&code).await,
        None => false,
    }
}

/// Why a session has no open challenge.
enum NotPending {
    Missing,
    Expired,
    Failed(AppError),
}

/// A pending login may finish logins only, and a user only their own challenges.
async fn find_pending(app: &AppState, session: &Session) -> Result<Challenge, NotPending> {
    let id = session.challenge().ok_or(NotPending::Missing)?;
    let challenge = Challenge::find_open(&app.database, id, app.clock.now())
        .await
        .map_err(|error| NotPending::Failed(error.into()))?;
    let belongs_to_session = |challenge: &Challenge| {
        let is_login = challenge.purpose == Purpose::LogIn;
        match session.visitor() {
            Visitor::PendingLogin { .. } => is_login,
            Visitor::LoggedIn { user, .. } => !is_login && challenge.user_id == user.id,
            Visitor::Anonymous => false,
        }
    };
    challenge
        .filter(belongs_to_session)
        .ok_or(NotPending::Expired)
}

impl NotPending {
    async fn redirect(self, session: &Session) -> Response {
        let redirect = match self {
            Self::Missing if session.user().is_none() => Ok(redirect_to_login()),
            Self::Missing => {
                let text = "There is no code to enter.";
                let added = session.add_message(MessageKind::Info, text).await;
                added.map(|()| Redirect::to("/home").into_response())
            }
            Self::Expired => redirect_expired(session).await,
            Self::Failed(error) => Err(error),
        };
        redirect.into_response()
    }
}

/// Whether a request comes from this machine and not through a proxy. A tunnel on this machine
/// connects from a loopback address, but opens the page to the whole world.
fn is_local(request: &Request) -> bool {
    let client = request.extensions().get::<ClientAddress>();
    let is_forwarded = request.headers().keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name.starts_with("x-forwarded-")
    });
    client.is_some_and(|client| client.0.is_loopback())
        && has_local_host(request.headers())
        && !is_forwarded
}

/// Whether `Host` names this machine. Otherwise a site whose name resolves to a loopback
/// address (DNS rebinding) could read the page.
fn has_local_host(headers: &HeaderMap) -> bool {
    let authority = headers
        .get(header::HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address: IpAddr| address.is_loopback())
    })
}
