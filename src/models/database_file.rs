//! The file of an SQLite database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;

use crate::config::is_sqlite;

/// Device and inode, which a file keeps as long as it exists.
type Identity = (u64, u64);

/// The file that the app has opened. SQLite does not notice that a file was deleted or replaced:
/// all writes would be lost, and all reads would find the former rows.
pub struct DatabaseFile {
    pub path: PathBuf,
    identity: Identity,
}

impl DatabaseFile {
    /// The file of the open database at `url`. None on PostgreSQL.
    pub fn find(url: &str) -> Result<Option<Arc<Self>>, sqlx::Error> {
        if !is_sqlite(url) {
            return Ok(None);
        }
        let options: SqliteConnectOptions = url.parse()?;
        let path = std::path::absolute(options.get_filename())?;
        let identity = identity(&path)?;
        Ok(Some(Arc::new(Self { path, identity })))
    }

    /// Fails if the file was deleted or replaced.
    pub fn check(&self) -> io::Result<()> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => Err(io::Error::other("the SQLite file was deleted or replaced")),
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let file = path.metadata()?;
    Ok((file.dev(), file.ino()))
}

/// Windows does not let an open file be replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    path.metadata().map(|_| (0, 0))
}
