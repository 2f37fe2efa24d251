//! What handlers ask for by type. The guard in `middleware/access.rs` has let
//! the request through before any of these is asked.

use axum::body::{Body, Bytes};
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use crate::error::AppError;
use crate::middleware::client_address::ClientAddress;
use crate::models::challenge::Challenge;
use crate::models::client::Client;
use crate::models::rate_limit::{Attempt, Bucket, RateLimit, RateLimitExceeded, take};
use crate::models::user::User;
use crate::models::{Connection, Error};
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::Layout;

/// The user who is logged in.
pub struct CurrentUser(pub User);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let session = Session::from_request_parts(parts, state).await?;
        let user = session.user().ok_or(AppError::MissingLayer("access"))?;
        Ok(Self(user.clone()))
    }
}

/// The verification that is open in this session.
#[derive(Clone)]
pub struct Pending(pub Challenge);

impl<S: Send + Sync> FromRequestParts<S> for Pending {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(AppError::MissingLayer("access"))
    }
}

/// Where the request came from.
impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let address = parts.extensions.get::<ClientAddress>();
        let address = address.ok_or(AppError::MissingLayer("client_address"))?.0;
        let user_agent = parts.headers.get(header::USER_AGENT);
        let user_agent = user_agent.map_or(&[][..], |value| value.as_bytes());
        Ok(Self::new(address, user_agent))
    }
}

/// The limits that the request's route declares, for the client that sent it.
pub struct RouteLimits {
    /// As declared in `routes.rs`.
    pub declared: &'static [RateLimit],
    /// Where the request came from.
    pub client: Client,
    /// Whether limits by client apply to it.
    is_limited: bool,
}

impl RouteLimits {
    /// Counts the action against them, within its transaction. `account` is the id of the
    /// account that it changes, if there is one.
    pub async fn take(
        &self,
        connection: &mut Connection,
        account: &str,
        now: i64,
    ) -> Result<Result<Attempt, RateLimitExceeded>, Error> {
        take(connection, &self.buckets(account), now).await
    }

    fn buckets(&self, account: &str) -> Vec<Bucket> {
        let client = self.is_limited.then_some(&self.client);
        let buckets = |it: &RateLimit| it.buckets_of(account, client);
        self.declared.iter().flat_map(buckets).collect()
    }
}

impl FromRequestParts<AppState> for RouteLimits {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let declared = parts.extensions.get::<Declared>();
        let declared = declared.ok_or(AppError::MissingLayer("limits"))?.0;
        let client = Client::from_request_parts(parts, state).await?;
        Ok(Self {
            declared,
            is_limited: state.limited_client(&client).is_some(),
            client,
        })
    }
}

/// What the guard of a route puts into its requests for [`RouteLimits`].
#[derive(Clone, Copy)]
pub struct Declared(pub &'static [RateLimit]);

/// A request once all of its body is here.
///
/// # Errors
/// It is too long, or ends before its end.
pub async fn whole(request: Request) -> Result<(Parts, Bytes), AppError> {
    let (parts, body) = request.into_parts();
    let mut limited = Request::new(body);
    *limited.extensions_mut() = parts.extensions.clone(); // the limit is there
    let bytes = Bytes::from_request(limited, &())
        .await
        .map_err(|rejection| AppError::Unreadable(rejection.status()))?;
    Ok((parts, bytes))
}

/// A form whose text is UTF-8. axum's own takes every byte that is not for the
/// same U+FFFD, and different passwords for one.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        let (parts, bytes) = whole(request).await?;
        if percent_decode(&bytes).decode_utf8().is_err() {
            return Err(AppError::Unreadable(StatusCode::BAD_REQUEST));
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        extract::Form::from_request(request, state)
            .await
            .map(|form| Self(form.0))
            .map_err(|rejection| AppError::Unreadable(rejection.status()))
    }
}

/// Makes the frame of a page.
pub struct Page {
    session: Session,
    demo_phone: bool,
    demo_mailbox: bool,
    head: bool,
}

impl Page {
    /// The frame, with the messages that were kept for the next page. They are
    /// shown once; a HEAD request, which shows nothing, leaves them.
    ///
    /// # Errors
    /// When the session's data cannot be read.
    pub async fn layout(&self, title: &str) -> Result<Layout, AppError> {
        let messages = if self.head {
            Vec::new()
        } else {
            self.session.take_messages().await?
        };
        Ok(Layout {
            title: title.to_owned(),
            username: self.session.user().map(|user| user.username.clone()),
            messages,
            demo_phone: self.demo_phone,
            demo_mailbox: self.demo_mailbox,
        })
    }
}

impl FromRequestParts<AppState> for Page {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        Ok(Self {
            session: Session::from_request_parts(parts, state).await?,
            demo_phone: state.demo_phone.is_some(),
            demo_mailbox: state.demo_mailbox.is_some(),
            head: parts.method == Method::HEAD,
        })
    }
}
