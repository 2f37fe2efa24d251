//! Backing up an SQLite database while the server runs.

use std::path::Path;

use secrecy::ExposeSecret;

use super::Error;
use crate::config::Config;
use crate::models::backup::backup;
use crate::services::signals::Signals;

pub(super) async fn run(file: &Path) -> Result<String, Error> {
    let url = Config::database_url_from_environment()?;
    let mut signals = Signals::listen().map_err(Error::Signals)?;
    let interrupted = async move {
        signals.next().await;
    };
    let bytes = backup(url.expose_secret(), file, interrupted).await?;
    Ok(format!(
        "Backed up the database to {}, {bytes} bytes.\n",
        file.display()
    ))
}
