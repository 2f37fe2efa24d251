//! A copy of an SQLite database as it is at one moment, while the server goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::Builder;

use crate::config::is_sqlite;

/// What the name of a backup begins with until it is whole.
const UNFINISHED: &str = ".twostep-backup-";

/// SQLite asks whether to go on after so many of its instructions: a few hundred rows.
const ASKED_EVERY: i32 = 1000;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is PostgreSQL's.
    #[error(
        "DATABASE_URL: this backs up SQLite only. PostgreSQL has pg_dump, which docs/deploy.md shows"
    )]
    NotSqlite,
    /// There is no database to be backed up.
    #[error("DATABASE_URL: there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// Something has the backup's name, and stays.
    #[error("FILE: {} is there already", .0.display())]
    Exists(PathBuf),
    /// The backup cannot be written there.
    #[error("FILE: {} cannot be written: {error}", .file.display())]
    Unwritable {
        /// The backup's name.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The database cannot be read, or the backup not written.
    #[error("the backup failed: {0}")]
    Database(#[from] sqlx::Error),
    /// It was told to end before it was done.
    #[error("the backup was interrupted, and there is none")]
    Interrupted,
    /// SQLite finds fault with what it wrote.
    #[error("the backup failed its check: {0}")]
    Corrupt(String),
}

/// Writes the SQLite database at `url` to a new file that its owner alone can read, and
/// returns its size in bytes. It holds what was committed before this began. It has its
/// name once it is whole, checked and on the disk, and never before; no migration is made,
/// so that a new version of the program can back up what the old one left.
///
/// Once `interrupted` is ready it ends, and leaves nothing behind. Only a program that is
/// killed leaves a file whose name begins with [`UNFINISHED`].
pub async fn backup(
    url: &str,
    file: &Path,
    interrupted: impl Future<Output = ()>,
) -> Result<u64, BackupError> {
    if !is_sqlite(url) {
        return Err(BackupError::NotSqlite);
    }
    let options: SqliteConnectOptions = url.parse()?;
    let database = options.get_filename();
    if !database.exists() {
        let database = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
        return Err(BackupError::Missing(database));
    }
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let unwritable = |error| BackupError::Unwritable {
        file: file.to_owned(),
        error,
    };
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Made with mode 0600, and gone where anything below fails.
    let copy = Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    let copy = copy.map_err(unwritable)?;
    fill(copy.path(), options.create_if_missing(false), interrupted).await?;

    // SQLite leaves that out after VACUUM INTO.
    copy.as_file().sync_all().map_err(unwritable)?;
    let bytes = copy.as_file().metadata().map_err(unwritable)?.len();
    copy.persist_noclobber(file)
        .map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
            _ => unwritable(error.error),
        })?;
    #[cfg(unix)]
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(unwritable)?;
    Ok(bytes)
}

/// Writes a database to a file, and checks it.
async fn fill(
    copy: &Path,
    from: SqliteConnectOptions,
    interrupted: impl Future<Output = ()>,
) -> Result<(), BackupError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut done = pin!(async {
        write(from, copy, &stop).await?;
        check(copy, &stop).await
    });
    tokio::select! {
        done = &mut done => done,
        () = interrupted => {
            // SQLite works in a thread of its own, which must not write on after the file
            // is removed, and removes its journal itself.
            stop.store(true, Ordering::Relaxed);
            let _ = done.await;
            Err(BackupError::Interrupted)
        }
    }
}

/// A connection on which whatever is under way fails once `stop` is true.
async fn connect(
    options: SqliteConnectOptions,
    stop: &Arc<AtomicBool>,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    let stop = stop.clone();
    let goes_on = move || !stop.load(Ordering::Relaxed);
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(ASKED_EVERY, goes_on);
    drop(handle);
    Ok(connection)
}

async fn write(
    from: SqliteConnectOptions,
    copy: &Path,
    stop: &Arc<AtomicBool>,
) -> Result<(), sqlx::Error> {
    let mut database = connect(from, stop).await?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut database)
        .await?;
    database.close().await
}

async fn check(copy: &Path, stop: &Arc<AtomicBool>) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true);
    let mut copy = connect(options, stop).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut copy)
        .await?;
    copy.close().await?;
    if found == "ok" {
        return Ok(());
    }
    Err(BackupError::Corrupt(found))
}
