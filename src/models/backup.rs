//! Backing up an SQLite database while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::Builder;

use crate::config::is_sqlite;
use crate::models::missing_file;

/// The prefix of an incomplete backup's file name.
const UNFINISHED: &str = ".twostep-backup-";

/// SQLite calls the progress handler after this many instructions: a few hundred rows.
const PROGRESS_INTERVAL: i32 = 1000;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "DATABASE_URL: this command backs up SQLite only. For PostgreSQL, use pg_dump as \
         docs/deploy.md shows"
    )]
    NotSqlite,
    #[error("DATABASE_URL: there is no database at {}", .0.display())]
    Missing(PathBuf),
    #[error("FILE: {} already exists", .0.display())]
    Exists(PathBuf),
    #[error("FILE: {} cannot be written: {error}", .file.display())]
    Write { file: PathBuf, error: io::Error },
    #[error("the backup failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the backup was interrupted and deleted")]
    Interrupted,
    #[error("the backup failed its check: {0}")]
    Corrupt(String),
}

/// Writes the SQLite database at `url` to a new file that only its owner can read. Returns
/// the size in bytes. The backup contains everything that was committed before the call. No
/// migration runs, so a new version of the program can back up an old version's database.
///
/// The file gets its name once it is complete, checked and on the disk. The backup stops and
/// leaves nothing behind once `interrupted` is ready. Only a program that is killed leaves a
/// file with the prefix [`UNFINISHED`].
pub async fn backup(
    url: &str,
    file: &Path,
    interrupted: impl Future<Output = ()>,
) -> Result<u64, BackupError> {
    if !is_sqlite(url) {
        return Err(BackupError::NotSqlite);
    }
    let options: SqliteConnectOptions = url.parse()?;
    if let Some(database) = missing_file(&options) {
        return Err(BackupError::Missing(database));
    }
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let error = |error| BackupError::Write {
        file: file.to_owned(),
        error,
    };
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // The file has mode 0600. It is deleted if anything below fails.
    let copy = Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    let copy = copy.map_err(error)?;
    write(options.create_if_missing(false), copy.path(), interrupted).await?;

    // VACUUM INTO does not sync the file.
    copy.as_file().sync_all().map_err(error)?;
    let bytes = copy.as_file().metadata().map_err(error)?.len();
    copy.persist_noclobber(file)
        .map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
            _ => error(failed.error),
        })?;
    #[cfg(unix)]
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(error)?;
    Ok(bytes)
}

/// Writes and checks the copy, unless it is interrupted.
async fn write(
    from: SqliteConnectOptions,
    copy: &Path,
    interrupted: impl Future<Output = ()>,
) -> Result<(), BackupError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut done = pin!(async {
        let mut database = connect(from, &stop).await?;
        sqlx::query("VACUUM INTO $1")
            .bind(copy.to_string_lossy().into_owned())
            .execute(&mut database)
            .await?;
        database.close().await?;
        let options = SqliteConnectOptions::new().filename(copy).read_only(true);
        let mut copy = connect(options, &stop).await?;
        let result: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut copy)
            .await?;
        copy.close().await?;
        match result.as_str() {
            "ok" => Ok(()),
            _ => Err(BackupError::Corrupt(result)),
        }
    });
    tokio::select! {
        result = &mut done => result,
        () = interrupted => {
            // SQLite writes in its own thread. It must stop, and delete its journal, before
            // the file is deleted.
            stop.store(true, Ordering::Relaxed);
            let _ = done.await;
            Err(BackupError::Interrupted)
        }
    }
}

/// A connection whose statements fail once `stop` is true.
async fn connect(
    options: SqliteConnectOptions,
    stop: &Arc<AtomicBool>,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    let stop = stop.clone();
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(PROGRESS_INTERVAL, move || !stop.load(Ordering::Relaxed));
    drop(handle);
    Ok(connection)
}
