//! tower-sessions' store of one request's session.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::{SessionStore, session_store};

use crate::error::into_store_error;
use crate::models::session::{Issued, SessionId, SessionRow};
use crate::models::{self, Database};

/// What becomes of the cookie at the end of the request.
#[derive(Default)]
pub enum CookieChange {
    /// Nothing: it stays as it is, with the life it was given.
    #[default]
    Keep,
    /// It gets a new token.
    Set(Issued),
    /// It is removed, because this very request ended the session.
    Remove,
}

/// The data of one request's session, in the row that the layer has read. It
/// saves by UPDATE alone, so that a session which ended while the request was
/// under way stays ended.
#[derive(Clone)]
pub(super) struct RowStore {
    pub(super) database: Database,
    pub(super) loaded: Option<String>,
    pub(super) cookie: Arc<Mutex<CookieChange>>,
    pub(super) now: i64,
}

impl std::fmt::Debug for RowStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RowStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let id = SessionId::from(record.id.to_string());
        let data = encode(record)?;
        let mut connection = self.database.acquire().await.map_err(backend)?;
        let issued = SessionRow::begin_anonymous(&mut connection, &id, None, &data, self.now)
            .await
            .map_err(backend)?;
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = CookieChange::Set(issued);
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let id = SessionId::from(record.id.to_string());
        SessionRow::save_data(&self.database, &id, &encode(record)?)
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(loaded) = &self.loaded else {
            return Ok(None);
        };
        // What cannot be read is an empty session, never an error for a person.
        let data = serde_json::from_str(loaded).unwrap_or_default();
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date: OffsetDateTime::UNIX_EPOCH,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let mut connection = self.database.acquire().await.map_err(backend)?;
        let id = SessionId::from(id.to_string());
        SessionRow::end(&mut connection, &id)
            .await
            .map_err(backend)?;
        Ok(())
    }
}

fn encode(record: &Record) -> session_store::Result<String> {
    serde_json::to_string(&record.data)
        .map_err(|error| session_store::Error::Encode(error.to_string()))
}

fn backend(error: impl Into<models::Error>) -> session_store::Error {
    into_store_error(&error.into())
}
