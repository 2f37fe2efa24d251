//! Backing up an SQLite database beside the running server.

use std::path::Path;

use secrecy::ExposeSecret;

use super::Error;
use crate::config::Config;
use crate::models::backup::backup;
use crate::services::signals::Signals;

pub(super) async fn run(file: &Path) -> Result<String, Error> {
    let url = Config::connection_url_from_environment()?;
    let mut signals = Signals::listen().map_err(Error::Signals)?;
    let interrupted = async move {
        signals.next().await;
    };
    let bytes = backup(url.expose_secret(), file, interrupted).await?;
    Ok(format!(
        "{} holds the database, {bytes} bytes.\n",
        file.display()
    ))
}
