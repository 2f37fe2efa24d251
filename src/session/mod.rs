//! The session of a request: its user, as an enum, so that a half-finished login can't be
//! mistaken for a login, and its flash messages. `lifecycle.rs` begins and ends it.
//!
//! tower-sessions' stock layer brings sessions back that were ended meanwhile,
//! keeps the cookie's value in clear and knows no end that activity does not
//! move, so the layer in `middleware/session.rs` takes its place. Its `Session`
//! and `SessionStore` stay, for the data of a session.

mod lifecycle;
mod store;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;

use crate::error::AppError;
use crate::models::Database;
use crate::models::challenge::ChallengeId;
use crate::models::session::{Issued, SessionRow};
use crate::models::user::User;
use crate::views::layout::{Kind, Message};

pub use store::CookieChange;
use store::RowStore;

/// A log-in counts as fresh for so many seconds: changing what proves an
/// account asks for one (ASVS 7.5.1).
pub const FRESH: i64 = 10 * 60;

/// The one key of tower-sessions' data.
const MESSAGES: &str = "messages";

/// The data of a session without messages.
const NO_DATA: &str = "{}";

/// Who sent a request.
#[derive(Debug, Clone)]
pub enum Visitor {
    /// Nobody we know.
    Anonymous,
    /// Somebody whose password was right, and whose code is still to come.
    PendingLogin {
        /// The verification that is open.
        challenge: ChallengeId,
    },
    /// A user.
    LoggedIn {
        /// Who.
        user: Box<User>,
        /// When that was last proved in full, in Unix seconds.
        authenticated_at: i64,
        /// The verification that is open: enabling, or re-authentication.
        challenge: Option<ChallengeId>,
    },
}

/// The session of a request. Clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    visitor: Visitor,
    row: Option<SessionRow>,
    /// Made for who asks for it: most requests find no message and leave none.
    data: OnceLock<tower_sessions::Session>,
    database: Database,
    now: i64,
    keeps_messages: bool,
    cookie: Arc<Mutex<CookieChange>>,
}

impl Session {
    /// The session that a request's cookie opened, or an empty one.
    pub fn new(database: &Database, row: Option<SessionRow>, now: i64, method: &Method) -> Self {
        // A GET never makes a session for a message; nobody sees what a HEAD leads to.
        let keeps_messages = match *method {
            Method::GET => row.is_some(),
            Method::HEAD | Method::OPTIONS => false,
            _ => true,
        };
        Self(Arc::new(Inner {
            visitor: row.as_ref().map_or(Visitor::Anonymous, visitor),
            row,
            data: OnceLock::new(),
            database: database.clone(),
            now,
            keeps_messages,
            cookie: Arc::default(),
        }))
    }

    fn data(&self) -> &tower_sessions::Session {
        self.0.data.get_or_init(|| {
            let store = RowStore {
                database: self.0.database.clone(),
                loaded: self.row().map(|row| row.data.clone()),
                cookie: Arc::clone(&self.0.cookie),
                now: self.0.now,
            };
            let id = self.row().and_then(|row| row.id.as_str().parse().ok());
            tower_sessions::Session::new(id, Arc::new(store), None)
        })
    }

    fn is_modified(&self) -> bool {
        let data = self.0.data.get();
        data.is_some_and(tower_sessions::Session::is_modified)
    }

    /// Who sent the request.
    pub fn visitor(&self) -> &Visitor {
        &self.0.visitor
    }

    /// The living row behind the cookie.
    pub fn row(&self) -> Option<&SessionRow> {
        self.0.row.as_ref()
    }

    /// The user, if somebody is logged in.
    pub fn user(&self) -> Option<&User> {
        match &self.0.visitor {
            Visitor::LoggedIn { user, .. } => Some(user),
            Visitor::Anonymous | Visitor::PendingLogin { .. } => None,
        }
    }

    /// Whether the last full proof of who it is is less than [`FRESH`] old. One that lies
    /// further in the future was noted by a wrong clock, and does not count. Clocks of
    /// several instances may differ a little.
    pub fn is_fresh(&self, now: i64) -> bool {
        match self.0.visitor {
            Visitor::LoggedIn {
                authenticated_at, ..
            } => (now - authenticated_at).abs() < FRESH,
            Visitor::Anonymous | Visitor::PendingLogin { .. } => false,
        }
    }

    /// The verification that is open in this session.
    pub fn challenge(&self) -> Option<&ChallengeId> {
        match &self.0.visitor {
            Visitor::PendingLogin { challenge } => Some(challenge),
            Visitor::LoggedIn { challenge, .. } => challenge.as_ref(),
            Visitor::Anonymous => None,
        }
    }

    /// Keeps a message for the next page, once however often it is added.
    pub async fn add_message(&self, kind: Kind, text: &str) -> Result<(), AppError> {
        if !self.0.keeps_messages {
            return Ok(());
        }
        let mut messages = self.messages().await?;
        let message = Message {
            kind,
            text: text.to_owned(),
        };
        if messages.contains(&message) {
            return Ok(());
        }
        messages.push(message);
        Ok(self.data().insert(MESSAGES, messages).await?)
    }

    /// Takes the messages out, for the page that shows them.
    pub async fn take_messages(&self) -> Result<Vec<Message>, AppError> {
        // remove() marks the data as modified even where nothing was there.
        let messages = self.messages().await?;
        if !messages.is_empty() {
            self.data().remove_value(MESSAGES).await?;
        }
        Ok(messages)
    }

    /// The messages that are kept. What cannot be read is none, as in
    /// [`RowStore::load`].
    async fn messages(&self) -> Result<Vec<Message>, AppError> {
        let has_none = self.row().is_none_or(|row| row.data == NO_DATA);
        if has_none && !self.is_modified() {
            return Ok(Vec::new());
        }
        match self.data().get(MESSAGES).await {
            Ok(messages) => Ok(messages.unwrap_or_default()),
            Err(tower_sessions::session::Error::SerdeJson(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the data, if it changed.
    pub async fn save(&self) -> Result<(), AppError> {
        if self.is_modified() {
            Box::pin(self.data().save()).await?;
        }
        Ok(())
    }

    /// Hands out a token: called after the transaction that issued it.
    pub fn send(&self, issued: Issued) {
        self.change_cookie(CookieChange::Set(issued));
    }

    /// What becomes of the cookie: asked once, at the end of the request.
    pub fn take_cookie_change(&self) -> CookieChange {
        std::mem::take(&mut self.0.cookie.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_cookie(&self, change: CookieChange) {
        *self.0.cookie.lock().unwrap_or_else(PoisonError::into_inner) = change;
    }
}

/// The data of a session that holds one message.
fn data_with(kind: Kind, text: &str) -> String {
    let text = text.to_owned();
    serde_json::json!({ MESSAGES: [Message { kind, text }] }).to_string()
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
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(AppError::MissingLayer("session"))
    }
}
