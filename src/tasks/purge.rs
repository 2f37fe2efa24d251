//! Deletes expired rows in the background (ASVS 14.2.7).

use std::time::Duration;

use strum::VariantArray;
use tokio_util::sync::CancellationToken;

use crate::models::purge::ExpiringRows;
use crate::models::{Database, with_causes};
use crate::services::clock::Clock;

/// The pause between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// The pause before the first round, since a server that starts is busy.
pub const START: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Purge {
    pub database: Database,
    pub clock: Clock,
    /// [`START`], except in tests.
    pub start: Duration,
    /// [`INTERVAL`], except in tests.
    pub interval: Duration,
}

impl Purge {
    /// Works until `stop` is canceled.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            tokio::time::sleep(self.start).await;
            loop {
                self.round().await;
                tokio::time::sleep(self.interval).await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    /// Purges each kind. An error is logged, and the next round tries again.
    pub async fn round(&self) {
        for kind in ExpiringRows::VARIANTS {
            let name = kind.as_ref();
            match kind.purge(&self.database, self.clock.now()).await {
                Ok(0) => {}
                Ok(rows) => {
                    tracing::info!(event = "purged", kind = name, rows, "deleted expired rows");
                }
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::error!(event = "purge_failed", kind = name, error, "purge failed");
                }
            }
        }
    }
}
