//! Who may call a page. `routes.rs` says it of each; nothing else decides it.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::extractors::{Declared, Pending};
use crate::forms::local_path::LocalPath;
use crate::middleware::client_address::ClientAddress;
use crate::models::challenge::{Challenge, Purpose};
use crate::models::rate_limit::RateLimit;
use crate::session::{Session, Visitor};
use crate::state::AppState;
use crate::views::layout::Kind;
use url::{Host, Url};

/// Who may call a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everyone.
    Any,
    /// Only who is signed out.
    Guest,
    /// Only who is signed in.
    User,
    /// Only who is signed in and proved it in the last ten minutes.
    Fresh,
    /// Only who has a verification open in this session.
    Pending,
    /// Only the machine that the program runs on, in development and never through a proxy.
    Dev,
}

/// What the guard of an address goes by.
#[derive(Clone)]
pub struct Guard {
    /// What the session is opened with, and the guard asks for the time and verifications.
    pub app: AppState,
    /// Who may call the address.
    pub access: Access,
    /// The page that holds the form sent there, where that is another.
    pub form_on: Option<&'static str>,
    /// The limits that its action takes.
    pub limits: &'static [RateLimit],
}

/// Whether the request was sent to this machine by name or address. A page whose
/// own name was made to lead here (DNS rebinding) could read the answer otherwise.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a proxy passed the request on. A tunnel on this machine connects from a loopback
/// address and may keep `Host: localhost`, but opens the page to the whole world.
fn was_forwarded(headers: &HeaderMap) -> bool {
    let is_of_proxy = |name: &str| name == "forwarded" || name.starts_with("x-forwarded-");
    headers.keys().any(|name| is_of_proxy(name.as_str()))
}

impl Guard {
    /// Lets a request through, with `None`, or sends it where it can get in.
    pub async fn refusal(&self, session: &Session, request: &mut Request) -> Option<Response> {
        let refusal = match self.access {
            Access::Any => None,
            Access::Guest => session
                .user()
                .map(|_| Redirect::to("/home").into_response()),
            Access::User => session
                .user()
                .is_none()
                .then(|| self.ask("/login", request)),
            Access::Fresh if session.user().is_none() => Some(self.ask("/login", request)),
            Access::Fresh => {
                (!session.is_fresh(self.app.clock.now())).then(|| self.ask("/reauth", request))
            }
            Access::Pending => match Box::pin(pending(&self.app, session)).await {
                Ok(Ok(challenge)) => {
                    request.extensions_mut().insert(Pending(challenge));
                    None
                }
                Ok(Err(elsewhere)) => Some(elsewhere),
                Err(error) => Some(error.into_response()),
            },
            Access::Dev => {
                let client = request.extensions().get::<ClientAddress>();
                let local = client.is_some_and(|client| client.0.is_loopback())
                    && names_this_machine(request.headers())
                    && !was_forwarded(request.headers());
                (!local).then(|| AppError::NotFound.into_response())
            }
        };
        if refusal.is_none() && !self.limits.is_empty() {
            request.extensions_mut().insert(Declared(self.limits));
        }
        // Who is signed in and opens the log-in page is no stranger.
        if refusal.is_some() && self.access != Access::Guest {
            let (access, user) = (self.access, session.user().map(|user| user.id.as_str()));
            tracing::info!(event = "access_refused", ?access, user, "sent away");
        }
        refusal
    }

    /// To `page`, and from there back to where the request went. The page that a
    /// POST came from has the same path, unless its form is on another.
    fn ask(&self, page: &str, request: &Request) -> Response {
        let wanted = match self.form_on {
            Some(path) => LocalPath::parse(path).unwrap_or_else(LocalPath::home),
            None => wanted(request.uri(), request.method()),
        };
        Redirect::to(&with_next(page, &wanted)).into_response()
    }
}

fn wanted(uri: &Uri, method: &Method) -> LocalPath {
    let wanted = match uri.path_and_query() {
        Some(whole) if matches!(*method, Method::GET | Method::HEAD) => whole.as_str(),
        _ => uri.path(),
    };
    LocalPath::parse(wanted).unwrap_or_else(LocalPath::home)
}

/// A link to `page` that carries `next`.
pub fn with_next(page: &str, next: &LocalPath) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", next.as_str())
        .finish();
    format!("{page}?{query}")
}

/// The open verification, or the way out for who has none.
async fn pending(
    app: &AppState,
    session: &Session,
) -> Result<Result<Challenge, Response>, AppError> {
    let Some(id) = session.challenge() else {
        return Ok(Err(nothing_pending(session).await?));
    };
    let challenge = Challenge::find_open(&app.database, id, app.clock.now()).await?;
    match challenge.filter(|challenge| belongs_to(challenge, session)) {
        Some(challenge) => Ok(Ok(challenge)),
        None => Ok(Err(expired(session).await?)),
    }
}

/// A half log-in finishes log-ins only, and a user only what is their own.
fn belongs_to(challenge: &Challenge, session: &Session) -> bool {
    match session.visitor() {
        Visitor::PendingLogin { .. } => challenge.purpose == Purpose::LogIn,
        Visitor::LoggedIn { user, .. } => {
            challenge.purpose != Purpose::LogIn && challenge.user_id == user.id
        }
        Visitor::Anonymous => false,
    }
}

async fn nothing_pending(session: &Session) -> Result<Response, AppError> {
    if session.user().is_none() {
        return Ok(Redirect::to(&with_next("/login", &LocalPath::home())).into_response());
    }
    session
        .add_message(Kind::Info, "There is no code to enter.")
        .await?;
    Ok(Redirect::to("/home").into_response())
}

/// The answer to a code that comes too late.
pub async fn expired(session: &Session) -> Result<Response, AppError> {
    session
        .add_message(Kind::Info, "That code has expired.")
        .await?;
    let page = if session.user().is_some() {
        "/home"
    } else {
        "/login"
    };
    Ok(Redirect::to(page).into_response())
}
