//! Deletes what is over: expired sessions, links and counts, and what is kept for a
//! set time only (ASVS 14.2.7).

use std::time::Duration;

use tokio::sync::watch;

use crate::models::purge::{Kind, Lease};
use crate::models::{Database, Error};
use crate::services::clock::Clock;

/// The pause between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The pause before the first: a start has enough to do.
pub const START: Duration = Duration::from_secs(20);

/// The pause between two batches, in which whoever waits to write has a turn: longer than
/// a batch takes, since SQLite has other processes look again after ever longer pauses.
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
    /// Works until `stop` is true or its sender is gone. A statement under way then is
    /// done or not done, and the next holder of the lease goes on from there.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pause = self.start;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
            self.round_until(&mut stop).await;
            pause = self.interval;
        }
    }

    /// Purges every kind once, unless another instance does it now; what fails is
    /// logged and left for the next round.
    pub async fn round(&self) {
        let (_never, mut stop) = watch::channel(false);
        self.round_until(&mut stop).await;
    }

    async fn round_until(&self, stop: &mut watch::Receiver<bool>) {
        if let Err(error) = self.purge_under_lease(stop).await {
            let error = error.with_causes();
            tracing::error!(
                event = "purge_failed",
                error,
                "could not acquire or release the purge lease"
            );
        }
    }

    /// However a round ends, its lease is released: otherwise no instance could purge until
    /// it expires.
    async fn purge_under_lease(&self, stop: &mut watch::Receiver<bool>) -> Result<(), Error> {
        let lease = Lease::new()?;
        let done = self.purge_all(&lease, stop).await;
        let released = lease.release(&self.database).await;
        done.and(released)
    }

    async fn purge_all(
        &self,
        lease: &Lease,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Error> {
        for kind in Kind::ALL {
            if !self.purge_and_log(kind, lease, stop).await? {
                break;
            }
        }
        Ok(())
    }

    /// Purges one kind. Returns whether the next may follow: not after a lost lease or at
    /// shutdown.
    async fn purge_and_log(
        &self,
        kind: Kind,
        lease: &Lease,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<bool, Error> {
        let (name, mut rows) = (kind.name(), 0);
        let goes_on = loop {
            // Not cancelled at shutdown: it must not take effect after the release.
            if !lease.acquire(&self.database, self.clock.now()).await? {
                break false;
            }
            let deleted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break false,
                deleted = kind.delete_some(&self.database, self.clock.now()) => deleted,
            };
            match deleted {
                Ok(deleted) => {
                    rows += deleted.rows;
                    if !deleted.more {
                        break true;
                    }
                }
                Err(error) => {
                    let error = error.with_causes();
                    tracing::error!(
                        event = "purge_failed",
                        kind = name,
                        error,
                        "what is over was not deleted"
                    );
                    break true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        };
        if rows > 0 {
            tracing::info!(
                event = "purged",
                kind = name,
                rows,
                "what is over was deleted"
            );
        }
        Ok(goes_on)
    }
}

/// Deletes all of a kind that is over at `now`, in batches, and returns how many rows
/// that were.
pub async fn purge(database: &Database, kind: Kind, now: i64) -> Result<u64, Error> {
    let mut rows = 0;
    loop {
        let deleted = kind.delete_some(database, now).await?;
        rows += deleted.rows;
        if !deleted.more {
            return Ok(rows);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
