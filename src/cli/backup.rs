//! Backing up an SQLite database beside the running server.

use std::path::Path;

use secrecy::ExposeSecret;

use super::Error;
use crate::config::Config;
use crate::models::backup::backup;

pub(super) async fn run(file: &Path) -> Result<String, Error> {
    let url = Config::connection_url_from_environment()?;
    let bytes = backup(url.expose_secret(), file).await?;
    Ok(format!(
        "{} holds the database, {bytes} bytes.\n",
        file.display()
    ))
}
