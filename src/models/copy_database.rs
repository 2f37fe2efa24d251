//! Copying a SQLite database to PostgreSQL: everything, or nothing. Only this module uses
//! the drivers of both engines, since COPY is PostgreSQL's fastest way to load rows.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection as _, Row, TypeInfo, ValueRef};

use crate::models::missing_file;

/// Rows that are copied at a time.
const PAGE: usize = 2_000;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file does not exist.
    #[error("FROM: there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// The file is not a database of this version of the program.
    #[error("FROM: {0}")]
    Source(String),
    /// The SQLite database cannot be opened or read.
    #[error("FROM: the database cannot be read: {0}")]
    Reading(sqlx::Error),
    /// The PostgreSQL database is not empty.
    #[error("TO: the database is not empty: {0}. Nothing was copied")]
    NotEmpty(String),
    /// The tables differ.
    #[error("TO: {0}. Nothing was copied")]
    Differs(String),
    /// The PostgreSQL database cannot be reached, read or written.
    #[error("TO: the database cannot be written: {0}")]
    Writing(sqlx::Error),
    /// The tables cannot be created.
    #[error("TO: the tables cannot be made: {0}")]
    Migrating(#[from] sqlx::migrate::MigrateError),
}

/// A table and how many rows of it were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The name.
    pub table: &'static str,
    /// Rows in either database.
    pub rows: u64,
}

struct Table {
    name: &'static str,
    page: &'static str,
    count: &'static str,
    lock: &'static str,
    copy: &'static str,
}

macro_rules! tables {
    ($($name:literal)+) => {
        [$(Table {
            name: $name,
            page: concat!("SELECT rowid, * FROM ", $name, " WHERE rowid > $1 ORDER BY rowid LIMIT $2"),
            count: concat!("SELECT COUNT(*) FROM ", $name),
            lock: concat!("LOCK TABLE ", $name, " IN ACCESS EXCLUSIVE MODE"),
            copy: concat!("COPY ", $name, " FROM STDIN"),
        }),+]
    };
}

/// All tables, those that others refer to first. Add each table that a migration adds:
/// a database with an unknown table is refused.
const TABLES: [Table; 11] = tables![
    "users" "challenges" "sessions" "outbox" "mail_tokens" "recovery_codes" "activity"
    "rate_limits" "former_usernames" "sms_days" "reset_requests"
];

/// sqlx's table of migrations.
const MIGRATIONS: &str = "_sqlx_migrations";

/// Copies the SQLite database at the URL `from` to the empty PostgreSQL database at the URL
/// `to`. It creates the tables, copies and counts all rows in one transaction, and reads
/// `from` in one snapshot. `from` never changes, and `to` does not change on an error.
pub async fn copy(from: &str, to: &str) -> Result<Vec<Copied>, CopyError> {
    let mut source = open(from).await?;
    let mut source = source.begin().await.map_err(CopyError::Reading)?;
    check_source(&mut source).await?;

    let to: PgConnectOptions = to.parse().map_err(CopyError::Writing)?;
    let mut target = to.connect().await.map_err(CopyError::Writing)?;
    let mut transaction = target.begin().await.map_err(CopyError::Writing)?;
    prepare_target(&mut transaction).await?;
    let mut copied = Vec::new();
    for table in &TABLES {
        check_columns(&mut source, &mut transaction, table.name).await?;
        copy_table(&mut source, &mut transaction, table).await?;
        copied.push(counted(&mut source, &mut transaction, table).await?);
    }
    transaction.commit().await.map_err(CopyError::Writing)?;
    target.close().await.map_err(CopyError::Writing)?;
    Ok(copied)
}

/// Opens an existing file, without migrations.
async fn open(url: &str) -> Result<SqliteConnection, CopyError> {
    let options: SqliteConnectOptions = url.parse().map_err(CopyError::Reading)?;
    if let Some(file) = missing_file(&options) {
        return Err(CopyError::Missing(file));
    }
    let options = options.create_if_missing(false);
    options.connect().await.map_err(CopyError::Reading)
}

/// Requires exactly this program's migrations and tables.
async fn check_source(source: &mut SqliteConnection) -> Result<(), CopyError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut *source)
    .await
    .map_err(CopyError::Reading)?;
    let refuse = |problem: &str| Err(CopyError::Source(problem.to_owned()));
    if !tables.iter().any(|table| table == MIGRATIONS) {
        return refuse("this is no database of Twostep's");
    }
    let versions: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(source)
            .await
            .map_err(CopyError::Reading)?;
    let known: Vec<i64> = sqlx::migrate!().iter().map(|it| it.version).collect();
    if versions != known {
        return refuse(
            "the database is of another version of this program. Start this one on it once, or \
             copy with the program that it belongs to",
        );
    }
    match tables.iter().find(|table| !is_known(table)) {
        Some(table) => refuse(&format!("the table {table} is none of this program's")),
        None => Ok(()),
    }
}

fn is_known(table: &str) -> bool {
    table == MIGRATIONS || TABLES.iter().any(|known| known.name == table)
}

/// Creates the tables, unless an unused instance has done so, and locks them.
async fn prepare_target(target: &mut PgConnection) -> Result<(), CopyError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::TEXT FROM information_schema.tables \
         WHERE table_schema = current_schema() ORDER BY table_name",
    )
    .fetch_all(&mut *target)
    .await
    .map_err(CopyError::Writing)?;
    if let Some(table) = tables.iter().find(|table| !is_known(table)) {
        return Err(CopyError::NotEmpty(format!("it has the table {table}")));
    }
    // This fails if the database has other migrations.
    sqlx::migrate!().run(&mut *target).await?;
    for table in &TABLES {
        let locked = sqlx::query(table.lock).execute(&mut *target).await;
        locked.map_err(CopyError::Writing)?;
        if count_in_target(target, table).await? > 0 {
            let problem = format!("there are rows in its table {}", table.name);
            return Err(CopyError::NotEmpty(problem));
        }
    }
    Ok(())
}

/// Requires the same order of columns in both databases, since COPY goes by it.
async fn check_columns(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<(), CopyError> {
    let here: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY cid")
            .bind(table)
            .fetch_all(source)
            .await
            .map_err(CopyError::Reading)?;
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::TEXT FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
    )
    .bind(table)
    .fetch_all(target)
    .await
    .map_err(CopyError::Writing)?;
    if here == there {
        return Ok(());
    }
    let problem = format!("the columns of {table} are not those of FROM");
    Err(CopyError::Differs(problem))
}

async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
) -> Result<(), CopyError> {
    let copy = target.copy_in_raw(table.copy).await;
    let mut copy = copy.map_err(CopyError::Writing)?;
    let mut last = i64::MIN;
    loop {
        let rows = sqlx::query(table.page)
            .bind(last)
            .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
            .fetch_all(&mut *source)
            .await
            .map_err(CopyError::Reading)?;
        let mut lines = Vec::new();
        for row in &rows {
            last = row.try_get(0).map_err(CopyError::Reading)?;
            write_line(&mut lines, row).map_err(CopyError::Reading)?;
        }
        copy.send(lines).await.map_err(CopyError::Writing)?;
        if rows.len() < PAGE {
            break;
        }
    }
    copy.finish().await.map_err(CopyError::Writing)?;
    Ok(())
}

/// Writes a row without its rowid in COPY's text format: a tab between two columns, a line
/// end after the last, and backslashes before tabs, line ends and backslashes.
fn write_line(line: &mut Vec<u8>, row: &SqliteRow) -> Result<(), sqlx::Error> {
    for column in 1..row.len() {
        if column > 1 {
            line.push(b'\t');
        }
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            line.extend(b"\\N");
        } else if value.type_info().name() == "INTEGER" {
            line.extend(row.try_get::<i64, _>(column)?.to_string().bytes());
        } else {
            for byte in row.try_get::<&str, _>(column)?.bytes() {
                match byte {
                    b'\\' => line.extend(b"\\\\"),
                    b'\t' => line.extend(b"\\t"),
                    b'\n' => line.extend(b"\\n"),
                    b'\r' => line.extend(b"\\r"),
                    byte => line.push(byte),
                }
            }
        }
    }
    line.push(b'\n');
    Ok(())
}

async fn counted(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
) -> Result<Copied, CopyError> {
    let here: i64 = sqlx::query_scalar(table.count)
        .fetch_one(source)
        .await
        .map_err(CopyError::Reading)?;
    let there = count_in_target(target, table).await?;
    if here != there {
        let name = table.name;
        let problem = format!("{name} has {there} rows there and {here} in FROM");
        return Err(CopyError::Differs(problem));
    }
    Ok(Copied {
        table: table.name,
        rows: u64::try_from(there).unwrap_or(0),
    })
}

async fn count_in_target(target: &mut PgConnection, table: &Table) -> Result<i64, CopyError> {
    let rows = sqlx::query_scalar(table.count).fetch_one(target).await;
    rows.map_err(CopyError::Writing)
}
