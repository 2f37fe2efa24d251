//! Types and all the SQL. Statements are valid on SQLite and on PostgreSQL. Every "check,
//! then act" is one statement or one transaction.

pub mod activity;
pub mod authentication;
pub mod backup;
pub mod challenge;
pub mod client;
pub mod copy_database;
pub mod database_file;
pub mod device;
pub mod factor;
pub mod login;
pub mod mail_token;
pub mod outbox;
pub mod purge;
pub mod rate_limit;
pub mod readiness;
pub mod reset_request;
pub mod session;
pub mod sms_days;
pub mod token;
pub mod two_factor;
pub mod user;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, Connection as _, Executor};

use crate::config::is_sqlite;
use crate::services::{passwords, sealing};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("no random numbers")]
    Randomness(#[from] getrandom::Error),
    #[error("a JSON column: {0}")]
    Json(#[from] serde_json::Error),
    #[error("password hashing failed")]
    Passwords(#[from] passwords::Error),
    #[error("a sealed secret: {0}")]
    Sealing(#[from] sealing::Error),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the error is transient: the server is busy, or the database is out of reach.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Passwords(passwords::Error::Busy) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_outage(&code))
            }
            Self::Database(error) => matches!(
                error,
                sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
            ),
            _ => false,
        }
    }
}

/// An error with its causes, in one line for the log. A cause that an error's own message
/// ends with is not repeated.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// Whether an error code of the database means that it cannot run any statement now.
fn is_outage(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL's SQLSTATE: connections, resources (a full disk), a server that stops,
        // starts or is a read-only replica, its file system, deadlocks.
        return ["08", "53", "57P", "58", "25006", "40001", "40P01"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // SQLite's BUSY, LOCKED, IOERR, FULL and CANTOPEN.
    matches!(sqlite_code(code), Some(5 | 6 | 10 | 13 | 14))
}

/// SQLite's primary result code, without the details in its higher bytes. `None` for an SQLSTATE,
/// which has five characters.
fn sqlite_code(code: &str) -> Option<i64> {
    let code = code.parse::<i64>().ok().filter(|_| code.len() != 5);
    code.map(|code| code & 0xff)
}

/// The connection pool, for either engine. On SQLite it has one connection: code that holds
/// it must not acquire another, nor wait for anything else.
pub type Database = AnyPool;

pub type Connection = sqlx::AnyConnection;

/// Seconds after which an unsent email is dropped.
const GIVE_UP_AFTER: i64 = 24 * 60 * 60;

/// Seconds until a "this wasn't me" link expires.
const NOT_ME_LIFE: i64 = 24 * 60 * 60;

/// Seconds for which an event can be undone. A link restores the factors that an account had for
/// as long, so an older link could restore an intruder's.
const UNDO_WINDOW: i64 = GIVE_UP_AFTER + NOT_ME_LIFE;

/// Connections of one instance to PostgreSQL.
const MAX_CONNECTIONS: u32 = 12;

/// sqlx's name of the SQLite backend.
const SQLITE: &str = "SQLite";

/// A request that waits longer for a connection fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a locked SQLite file is opened again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    #[error("{0} is not a database")]
    NotADatabase(String),
    /// A newer version of the program has migrated it.
    #[error("{0} is from a newer version of Twostep, so this version can't open it")]
    Newer(String),
    #[error("the database cannot be opened: {0}")]
    Other(#[from] sqlx::Error),
}

impl OpenError {
    /// Whether another attempt would fail in the same way.
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::NotADatabase(_) | Self::Newer(_) => true,
            Self::Other(error) => matches!(error, sqlx::Error::Configuration(_)),
            Self::Missing(_) => false,
        }
    }
}

/// Opens the database. Creates and migrates it if needed.
pub async fn connect(url: &str) -> Result<Database, OpenError> {
    sqlx::any::install_default_drivers();
    make_private_file(url);
    let options: AnyConnectOptions = url.parse()?;
    let migrated = async {
        // A pool would retry until its timeout and then report no reason.
        let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, async {
            loop {
                match open(&options).await {
                    Err(error) if is_busy(&error) => tokio::time::sleep(BUSY_PAUSE).await,
                    opened => return opened,
                }
            }
        });
        let mut connection = connecting.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        // Without a timeout: a migration of a large database may take minutes.
        migrate(&mut connection).await?;
        connection.close().await
    };
    migrated.await.map_err(|error| describe(error, url))?;
    Ok(pool(url).connect_lazy_with(options))
}

async fn open(options: &AnyConnectOptions) -> Result<Connection, sqlx::Error> {
    let mut connection = Connection::connect_with(options).await?;
    prepare(&mut connection).await?;
    Ok(connection)
}

/// Whether another instance holds SQLite's lock. Switching to WAL ignores `busy_timeout`.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| sqlite_code(&code) == Some(5))
}

fn pool(url: &str) -> AnyPoolOptions {
    let is_sqlite = is_sqlite(url);
    AnyPoolOptions::new()
        // SQLite has one writer. Connections that wait for its lock poll, with growing pauses.
        // Requests that wait for the pool's only connection get it in their order.
        .max_connections(if is_sqlite { 1 } else { MAX_CONNECTIONS })
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a server may break between two requests, a file does not.
        .test_before_acquire(!is_sqlite)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        // When the disk is full, SQLite rolls back, but sqlx still counts that transaction as
        // open. It would nest the next one in it, and the rollback of a nested transaction
        // would never release the lock.
        .before_acquire(|connection, _| {
            let is_sound = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_sound) })
        })
}

fn describe(error: sqlx::Error, url: &str) -> OpenError {
    const SQLITE_NOTADB: &str = "26";
    match &error {
        sqlx::Error::Migrate(cause) if matches!(**cause, MigrateError::VersionMissing(_)) => {
            OpenError::Newer(display_name(url))
        }
        sqlx::Error::Database(cause) if cause.code().as_deref() == Some(SQLITE_NOTADB) => {
            OpenError::NotADatabase(display_name(url))
        }
        _ => OpenError::Other(error),
    }
}

/// A name of the database without secrets: the file of SQLite.
pub fn display_name(url: &str) -> String {
    match url.parse::<SqliteConnectOptions>() {
        Ok(options) if is_sqlite(url) => options.get_filename().display().to_string(),
        _ => "the PostgreSQL database".to_owned(),
    }
}

/// Instances that start together migrate one after the other: by sqlx's lock on PostgreSQL,
/// by the transaction's lock on SQLite.
async fn migrate(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if connection.backend_name() != SQLITE {
        return Ok(sqlx::migrate!().run(connection).await?);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::migrate!().run(&mut *transaction).await?;
    transaction.commit().await
}

/// Opens a database that must exist: creates no file.
pub async fn connect_existing(url: &str) -> Result<Database, OpenError> {
    if is_sqlite(url)
        && let Some(file) = missing_file(&url.parse()?)
    {
        return Err(OpenError::Missing(file));
    }
    connect(url).await
}

/// The absolute path of an SQLite database, if its file does not exist.
fn missing_file(options: &SqliteConnectOptions) -> Option<PathBuf> {
    let file = options.get_filename();
    let absolute = || std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    (!file.exists()).then(absolute)
}

/// Creates a new SQLite file with mode 0600, since it holds password hashes. SQLite gives
/// the files beside it the same mode. Opening the file reports why it cannot be created.
/// An existing file keeps its mode, since the operator may have chosen it for a group.
fn make_private_file(url: &str) {
    #[cfg(unix)]
    if is_sqlite(url)
        && let Ok(options) = url.parse::<SqliteConnectOptions>()
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let path = options.get_filename();
        if url.contains("mode=rwc") {
            let mut file = std::fs::OpenOptions::new();
            let _ = file.write(true).create_new(true).mode(0o600).open(path);
        }
        let mode = path.metadata().map_or(0, |it| it.permissions().mode());
        if mode & 0o077 != 0 {
            tracing::warn!(
                event = "database_readable",
                mode = format!("{:o}", mode & 0o777),
                "other users of this machine can read the database"
            );
        }
    }
}

/// Sets the pragmas of an SQLite connection. PostgreSQL needs nothing.
async fn prepare(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if connection.backend_name() == SQLITE {
        connection
            .execute(
                r"
                PRAGMA busy_timeout = 5000;
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = NORMAL;
                PRAGMA foreign_keys = ON;
                ",
            )
            .await?;
    }
    Ok(())
}

/// A boolean as its column holds it, for `#[sqlx(try_from)]`: the engines share no BOOLEAN.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
struct Flag(i64);

impl From<Flag> for bool {
    fn from(flag: Flag) -> Self {
        flag.0 != 0
    }
}

/// Whether a UNIQUE column caused the error. PostgreSQL reports the constraint's name
/// (`users_email_key`), SQLite the column (`UNIQUE constraint failed: users.email_key`): the
/// constraints are named after their columns.
fn is_violation_of(error: &sqlx::Error, table: &str, column: &str) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    error.is_unique_violation()
        && (error.constraint() == Some(&format!("{table}_{column}"))
            || error.message().ends_with(&format!("{table}.{column}")))
}
