//! Deletes what is over: expired sessions, links and counts, and what is kept for a
//! set time only (ASVS 14.2.7).

use std::time::Duration;

use tokio::sync::watch;

use crate::models::purge::{BATCH, Kind, Turn};
use crate::models::{Database, Error};
use crate::services::clock::Clock;

/// The pause between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The pause before the first: a start has enough to do.
pub const START: Duration = Duration::from_secs(20);

/// The pause between two batches, in which whoever waits to write has a turn.
const PAUSE: Duration = Duration::from_millis(10);

/// Purges the database now and then. Of those that share one, one does it at a time.
#[derive(Clone)]
pub struct Purge {
    /// What is purged.
    pub database: Database,
    /// The time.
    pub clock: Clock,
    /// The pause before the first round.
    pub start: Duration,
    /// The pause between two rounds.
    pub interval: Duration,
}

impl Purge {
    /// Works until `stop` is true or its sender is gone. A statement under way then
    /// is done or not done, and the next to have its turn goes on from there.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let rounds = async {
            tokio::time::sleep(self.start).await;
            loop {
                self.round().await;
                tokio::time::sleep(self.interval).await;
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = rounds => {}
        }
    }

    /// Purges every kind once, unless another instance does it now; what fails is
    /// logged and left for the next round.
    pub async fn round(&self) {
        if let Err(error) = self.in_turn().await {
            let error = error.with_causes();
            tracing::error!(event = "purge_failed", error, "whose turn it is is unknown");
        }
    }

    async fn in_turn(&self) -> Result<(), Error> {
        let turn = Turn::new()?;
        for kind in Kind::ALL {
            if !turn.hold(&self.database, self.clock.now()).await? {
                return Ok(());
            }
            self.purge_and_tell(kind).await;
        }
        turn.give_back(&self.database).await
    }

    async fn purge_and_tell(&self, kind: Kind) {
        match purge(&self.database, kind, self.clock.now()).await {
            Ok(0) => {}
            Ok(rows) => {
                let kind = kind.name();
                tracing::info!(event = "purged", kind, rows, "what is over was deleted");
            }
            Err(error) => {
                let (kind, error) = (kind.name(), error.with_causes());
                tracing::error!(
                    event = "purge_failed",
                    kind,
                    error,
                    "what is over was not deleted"
                );
            }
        }
    }
}

/// Deletes all of a kind that is over at `now`, in batches, and returns how many rows
/// that were.
///
/// # Errors
/// When the database fails.
pub async fn purge(database: &Database, kind: Kind, now: i64) -> Result<u64, Error> {
    let mut rows = 0;
    loop {
        let deleted = kind.delete_some(database, now).await?;
        rows += deleted;
        if deleted < BATCH {
            return Ok(rows);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
