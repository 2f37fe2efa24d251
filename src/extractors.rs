//! Extractors. The guard in `middleware/access.rs` admits a request before they run.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use crate::error::AppError;
use crate::middleware::client_address::ClientAddress;
use crate::middleware::cookie;
use crate::models::challenge::Challenge;
use crate::models::client::Client;
use crate::models::rate_limit::{Attempt, Bucket, RateLimit, RateLimitExceeded, take};
use crate::models::token::Token;
use crate::models::user::User;
use crate::models::{Connection, Error};
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::Layout;

pub struct CurrentUser(pub User);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let session = Session::from_request_parts(parts, state).await?;
        let user = session.user().ok_or(AppError::MissingLayer("access"))?;
        Ok(Self(user.clone()))
    }
}

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

/// The token of the browser's device cookie, which may be forged.
pub struct DeviceCookie(pub Option<Token>);

impl FromRequestParts<AppState> for DeviceCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let value = cookie::read(state, &parts.headers, cookie::DEVICE);
        Ok(Self(value.map(Token::received)))
    }
}

/// The limits that `routes.rs` declares for the request's route.
pub struct RouteLimits {
    pub declared: &'static [RateLimit],
    pub client: Client,
    /// Whether limits by client apply.
    is_limited: bool,
}

impl RouteLimits {
    /// Counts the action in its transaction. `account` is the id of the account that the action
    /// changes, if any.
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
        let buckets = |it: &RateLimit| it.buckets_for(account, client);
        self.declared.iter().flat_map(buckets).collect()
    }
}

impl FromRequestParts<AppState> for RouteLimits {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let declared = parts.extensions.get::<DeclaredLimits>();
        let declared = declared.ok_or(AppError::MissingLayer("limits"))?.0;
        let client = Client::from_request_parts(parts, state).await?;
        Ok(Self {
            declared,
            is_limited: state.limited_client(&client).is_some(),
            client,
        })
    }
}

/// The request extension behind [`RouteLimits`], which the route's guard inserts.
#[derive(Clone, Copy)]
pub struct DeclaredLimits(pub &'static [RateLimit]);

/// Fails if the body is too long or incomplete.
pub async fn read_body(request: Request) -> Result<(Parts, Bytes), AppError> {
    let (parts, body) = request.into_parts();
    let mut limited = Request::new(body);
    *limited.extensions_mut() = parts.extensions.clone(); // they hold the limit of the body
    let bytes = Bytes::from_request(limited, &())
        .await
        .map_err(|rejection| AppError::Unreadable(rejection.status()))?;
    Ok((parts, bytes))
}

/// A form whose text is valid UTF-8. axum's own form replaces every invalid byte by U+FFFD, so
/// that different passwords would become equal.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        let (parts, bytes) = read_body(request).await?;
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

pub struct Page {
    session: Session,
    demo_phone: bool,
    demo_mailbox: bool,
    head: bool,
}

impl Page {
    /// The layout with the flash messages. A HEAD request shows nothing and keeps them.
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
