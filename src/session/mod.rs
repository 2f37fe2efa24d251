//! The session of a request: its user, as an enum, so that a pending login can't be
//! mistaken for a login, and its flash messages. `lifecycle.rs` begins and ends it.
//!
//! tower-sessions' `Session` holds the flash messages. We don't use its `SessionManagerLayer`:
//! with it, a running request could restore an ended session, the cookie would be the row's id,
//! and there would be no absolute timeout. `middleware/session.rs` replaces it.

mod lifecycle;
pub mod redirects;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tower_sessions::session::Id;

use crate::error::AppError;
use crate::models::Database;
use crate::models::challenge::ChallengeId;
use crate::models::session::{Issued, SessionRow};
use crate::models::user::User;
use crate::views::layout::{FlashMessage, MessageKind};

use store::RequestStore;

/// Seconds for which a login counts as recently authenticated. Changes of a password or a factor
/// require that (ASVS 7.5.1).
const RECENT_AUTHENTICATION: i64 = 10 * 60;

/// The key of the flash messages in tower-sessions' data.
const MESSAGES: &str = "messages";

/// The key of the digest of the code whose response showed recovery codes.
const RECOVERY_CODES: &str = "recovery_codes";

/// The data of a session without flash messages.
const NO_DATA: &str = "{}";

/// Who sent a request.
#[derive(Debug, Clone)]
pub enum Visitor {
    Anonymous,
    /// The password was right, and a code is required.
    PendingLogin {
        challenge: ChallengeId,
    },
    LoggedIn {
        user: Box<User>,
        /// The last full authentication, in Unix seconds. None on a trusted device, until the user
        /// reauthenticates.
        authenticated_at: Option<i64>,
        /// The open challenge, of enabling or reauthentication.
        challenge: Option<ChallengeId>,
    },
}

/// The change of the session cookie, which the response makes.
#[derive(Default)]
pub enum CookieChange {
    #[default]
    Keep,
    Set(Issued),
    /// It is removed, because this request ended the session.
    Remove,
}

/// The session of a request. Clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    visitor: Visitor,
    row: Option<SessionRow>,
    data: tower_sessions::Session,
    store: RequestStore,
    database: Database,
    now: i64,
    keeps_messages: bool,
    cookie: Mutex<CookieChange>,
}

impl Session {
    /// The session of a request's cookie, or an empty one.
    pub fn new(database: &Database, row: Option<SessionRow>, now: i64, method: &Method) -> Self {
        // A GET never creates a session for a message. A HEAD shows nothing.
        let keeps_messages = match *method {
            Method::GET => row.is_some(),
            Method::HEAD | Method::OPTIONS => false,
            _ => true,
        };
        let store = RequestStore::new(row.as_ref().map_or(NO_DATA, |row| &row.data));
        let id = row.is_some().then_some(Id(0)); // the store has one session
        Self(Arc::new(Inner {
            visitor: row.as_ref().map_or(Visitor::Anonymous, visitor),
            row,
            data: tower_sessions::Session::new(id, Arc::new(store.clone()), None),
            store,
            database: database.clone(),
            now,
            keeps_messages,
            cookie: Mutex::default(),
        }))
    }

    pub fn visitor(&self) -> &Visitor {
        &self.0.visitor
    }

    /// The active row of the request's cookie.
    pub fn row(&self) -> Option<&SessionRow> {
        self.0.row.as_ref()
    }

    pub fn user(&self) -> Option<&User> {
        match &self.0.visitor {
            Visitor::LoggedIn { user, .. } => Some(user),
            Visitor::Anonymous | Visitor::PendingLogin { .. } => None,
        }
    }

    /// Whether the last full authentication is less than [`RECENT_AUTHENTICATION`] seconds away. One far in the
    /// future comes from a wrong clock and doesn't count. The clocks of instances may differ a
    /// little.
    pub fn is_recently_authenticated(&self, now: i64) -> bool {
        match self.0.visitor {
            Visitor::LoggedIn {
                authenticated_at, ..
            } => authenticated_at.is_some_and(|at| (now - at).abs() < RECENT_AUTHENTICATION),
            Visitor::Anonymous | Visitor::PendingLogin { .. } => false,
        }
    }

    pub fn challenge(&self) -> Option<&ChallengeId> {
        match &self.0.visitor {
            Visitor::PendingLogin { challenge } => Some(challenge),
            Visitor::LoggedIn { challenge, .. } => challenge.as_ref(),
            Visitor::Anonymous => None,
        }
    }

    /// Adds a flash message, unless it is there already.
    pub async fn add_message(&self, kind: MessageKind, text: &str) -> Result<(), AppError> {
        if !self.0.keeps_messages {
            return Ok(());
        }
        let mut messages = self.messages().await?;
        let text = text.to_owned();
        let message = FlashMessage { kind, text };
        if messages.contains(&message) {
            return Ok(());
        }
        messages.push(message);
        Ok(self.0.data.insert(MESSAGES, messages).await?)
    }

    /// Remembers the code whose response showed recovery codes.
    pub async fn remember_recovery_codes(&self, code: &SecretString) -> Result<(), AppError> {
        Ok(self.0.data.insert(RECOVERY_CODES, digest(code)).await?)
    }

    /// Whether the response to this code showed recovery codes.
    pub async fn showed_recovery_codes(&self, code: &SecretString) -> bool {
        let found = self.0.data.get::<String>(RECOVERY_CODES).await;
        found.is_ok_and(|found| found == Some(digest(code)))
    }

    /// Removes the flash messages, for the page that shows them.
    pub async fn take_messages(&self) -> Result<Vec<FlashMessage>, AppError> {
        let messages = self.messages().await?;
        if !messages.is_empty() {
            self.0.data.remove_value(MESSAGES).await?;
        }
        Ok(messages)
    }

    /// The flash messages. Unreadable ones count as none.
    async fn messages(&self) -> Result<Vec<FlashMessage>, AppError> {
        let has_none = self.row().is_none_or(|row| row.data == NO_DATA);
        if has_none && !self.0.data.is_modified() {
            return Ok(Vec::new()); // as in most requests
        }
        match self.0.data.get(MESSAGES).await {
            Ok(messages) => Ok(messages.unwrap_or_default()),
            Err(tower_sessions::session::Error::SerdeJson(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the flash messages to the row if they changed. A session that ended meanwhile
    /// stays ended. A visitor without a session gets one.
    pub async fn save(&self) -> Result<(), AppError> {
        if !self.0.data.is_modified() {
            return Ok(());
        }
        let before = self.0.store.data();
        self.0.data.save().await?;
        let (database, data) = (&self.0.database, self.0.store.data());
        if data == before {
            return Ok(()); // saved before in this request
        }
        if let Some(row) = self.row() {
            return Ok(SessionRow::save_data(database, &row.id, &data).await?);
        }
        let mut connection = database.acquire().await?;
        let issued = SessionRow::begin_anonymous(&mut connection, None, &data, self.0.now).await?;
        self.send(issued);
        Ok(())
    }

    /// Sends a new cookie, once the transaction that issued it is committed.
    pub fn send(&self, issued: Issued) {
        self.change_cookie(CookieChange::Set(issued));
    }

    pub fn take_cookie_change(&self) -> CookieChange {
        std::mem::take(&mut self.0.cookie.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_cookie(&self, change: CookieChange) {
        *self.0.cookie.lock().unwrap_or_else(PoisonError::into_inner) = change;
    }
}

/// The code is used up, but no code is kept as such.
fn digest(code: &SecretString) -> String {
    HEXLOWER.encode(&Sha256::digest(code.expose_secret()))
}

/// The data of a session that holds one message.
fn data_with(kind: MessageKind, text: &str) -> String {
    let text = text.to_owned();
    serde_json::json!({ MESSAGES: [FlashMessage { kind, text }] }).to_string()
}

fn visitor(row: &SessionRow) -> Visitor {
    match (&row.login, &row.challenge_id) {
        (Some((user, authenticated_at)), challenge) => Visitor::LoggedIn {
            user: Box::new(user.clone()),
            authenticated_at: *authenticated_at,
            challenge: challenge.clone(),
        },
        (None, Some(challenge)) => Visitor::PendingLogin {
            challenge: challenge.clone(),
        },
        (None, None) => Visitor::Anonymous,
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or(AppError::MissingLayer("session"))
    }
}
