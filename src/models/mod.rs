//! Types and all the SQL. Statements are valid on SQLite and on PostgreSQL;
//! every "check, then act" is one statement or one transaction.

pub mod activity;
pub mod authentication;
pub mod backup;
pub mod challenge;
pub mod client;
pub mod copy_database;
pub mod mail_token;
pub mod outbox;
pub mod purge;
pub mod rate_limit;
pub mod readers;
pub mod readiness;
pub mod recovery_code;
pub mod reset_request;
pub mod session;
pub mod sms_days;
pub mod token;
pub mod user;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, Connection as _, Executor, Row};

use crate::config::is_sqlite;
use crate::services::passwords;

/// Why a model could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or could not be reached.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The operating system had no random numbers to give.
    #[error("no random numbers")]
    Randomness(#[from] getrandom::Error),
    /// A column of JSON could not be written or read.
    #[error("a JSON column: {0}")]
    Json(String),
    /// A password could not be hashed or compared.
    #[error("password hashing failed")]
    Passwords(#[from] passwords::Error),
}

impl Error {
    /// The error and what caused it, in one line: see [`with_causes`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// Whether the same may work in a moment: too much is going on, or the
    /// database is out of reach.
    pub fn passes(&self) -> bool {
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

/// An error with everything that caused it, in one line for the log. Some errors tell of
/// their cause themselves: it is told once.
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

/// Whether a database's code says that it cannot work just now, whatever it is asked.
fn is_outage(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL's SQLSTATE: connections, resources (a full disk), a server that is
        // stopping, starting or only copies another, its file system, deadlocks.
        return ["08", "53", "57P", "58", "25006", "40001", "40P01"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // SQLite's, with details above the first byte: BUSY, LOCKED, IOERR, FULL, CANTOPEN.
    let primary = code.parse::<i64>().map(|code| code & 0xff);
    matches!(primary, Ok(5 | 6 | 10 | 13 | 14))
}

/// The pool of connections, to either engine. On SQLite it is a single one: whoever holds
/// it must not ask for another, nor wait for anything else meanwhile.
pub type Database = AnyPool;

/// One connection: of the pool, or of a transaction.
pub type Connection = sqlx::AnyConnection;

/// A mail that is not sent by then, in seconds, is given up.
const GIVE_UP_AFTER: i64 = 24 * 60 * 60;

/// A link to undo what happened lives so many seconds.
const NOT_ME_LIFE: i64 = 24 * 60 * 60;

/// Connections that sessions are read with.
pub const READERS: u32 = 4;

/// Connections in the pool: one instance needs no more of PostgreSQL's, which those that
/// sessions are read with are part of.
const MAX_CONNECTIONS: u32 = 8 + READERS;

/// SQLite lets one write at a time. Connections that meet at its lock sleep, ever longer,
/// and look again; those who wait for the pool's only one are woken in their order.
const MAX_SQLITE_CONNECTIONS: u32 = 1;

/// What sqlx calls the one of the engines that is a file.
const SQLITE: &str = "SQLite";

/// Longest wait for a connection before the request is given up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the database, and creates and migrates it where needed.
pub async fn connect(url: &str) -> Result<Database, sqlx::Error> {
    sqlx::any::install_default_drivers();
    make_private_file(url);
    let options: AnyConnectOptions = url.parse()?;
    let most = match is_sqlite(url) {
        true => MAX_SQLITE_CONNECTIONS,
        false => MAX_CONNECTIONS,
    };
    let pool = pool(url, most).connect_with(options.clone());
    let database = match pool.await {
        Err(sqlx::Error::PoolTimedOut) => return Err(reason(&options).await),
        connected => connected?,
    };
    migrate(&database).await?;
    Ok(database)
}

/// A pool of at most so many connections, each of them prepared.
fn pool(url: &str, most: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file is not lost between two requests, a server's connection may be.
        .test_before_acquire(!is_sqlite(url))
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        // Where a disk is full, SQLite rolls back by itself, and sqlx then counts a
        // transaction that is over. On that connection it would begin the next one as a
        // part of that, whose rollback leaves the lock for good.
        .before_acquire(|connection, _| {
            let is_sound = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_sound) })
        })
}

/// Why a database that was waited for in vain cannot be opened: the pool, which tries
/// again and again, does not tell.
async fn reason(options: &AnyConnectOptions) -> sqlx::Error {
    let attempt = async {
        let mut connection = Connection::connect_with(options).await?;
        prepare(&mut connection).await?;
        connection.close().await
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, attempt).await {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => sqlx::Error::PoolTimedOut,
    }
}

/// Instances that start together migrate one after the other: sqlx sees to that on
/// PostgreSQL, and on SQLite the transaction does, which begins with the lock.
async fn migrate(database: &Database) -> Result<(), sqlx::Error> {
    let mut connection = database.acquire().await?;
    if connection.backend_name() != SQLITE {
        return Ok(sqlx::migrate!().run(&mut *connection).await?);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::migrate!().run(&mut *transaction).await?;
    transaction.commit().await
}

/// Why a database that should be there could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be opened or migrated.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
}

/// The same for whoever has no use for a database that is empty: makes no file.
///
/// # Errors
/// When there is none, it cannot be opened or a migration fails.
pub async fn connect_existing(url: &str) -> Result<Database, OpenError> {
    if is_sqlite(url) {
        let options: SqliteConnectOptions = url.parse()?;
        let file = options.get_filename();
        if !file.exists() {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
            return Err(OpenError::Missing(file));
        }
    }
    Ok(connect(url).await?)
}

/// Makes a new SQLite file readable for its owner alone, since it holds what
/// proves accounts. SQLite gives the files beside it the same mode. Where it
/// cannot be made, opening it will say why. Who may read one that is there is for
/// the operator to decide, who may have meant a group of the system's.
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
                "others on this machine may read the database"
            );
        }
    }
}

/// Sets what SQLite leaves off by default; PostgreSQL needs nothing.
async fn prepare(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if connection.backend_name() == SQLITE {
        connection
            .execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                 PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
            )
            .await?;
    }
    Ok(())
}

/// A column that holds one of an enum's names.
fn parse_column<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error> {
    let name: &str = row.try_get(column)?;
    name.parse().map_err(|_| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: "a value that this program does not write".into(),
    })
}

/// The UNIQUE column that an error is about, as `table.column`.
///
/// PostgreSQL reports the constraint's name (`users_email_key`), SQLite the
/// column (`UNIQUE constraint failed: users.email_key`): constraints are named
/// so that both lead to the same answer.
fn is_violation_of(error: &sqlx::Error, table: &str, column: &str) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    error.is_unique_violation()
        && (error.constraint() == Some(&format!("{table}_{column}"))
            || error.message().ends_with(&format!("{table}.{column}")))
}
