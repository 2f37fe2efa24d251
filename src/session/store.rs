//! The store behind tower-sessions' `Session` holds the data of one request.
//! [`Session::save`](super::Session::save) writes it to the database.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::{SessionStore, session_store};

/// The data of one request's session, as JSON.
#[derive(Debug, Clone)]
pub(super) struct RequestStore(Arc<Mutex<String>>);

impl RequestStore {
    pub(super) fn new(data: &str) -> Self {
        Self(Arc::new(Mutex::new(data.to_owned())))
    }

    pub(super) fn data(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl SessionStore for RequestStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = serde_json::to_string(&record.data)
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = data;
        Ok(())
    }

    /// Unreadable data counts as empty: it is no reason to refuse a page.
    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        Ok(Some(Record {
            id: *id,
            data: serde_json::from_str(&self.data()).unwrap_or_default(),
            expiry_date: OffsetDateTime::UNIX_EPOCH,
        }))
    }

    async fn delete(&self, _: &Id) -> session_store::Result<()> {
        Ok(())
    }
}
