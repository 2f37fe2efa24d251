//! Copying an SQLite database to PostgreSQL: everything, or nothing. Only this module and the
//! backup use a driver of their own engine. The tables come from the schema.

use std::path::PathBuf;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _, QueryBuilder};

use crate::models::missing_file;

/// Rows in one statement.
const PAGE: i64 = 2_000;

const MIGRATIONS: &str = "_sqlx_migrations";

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("FROM: there is no database at {}", .0.display())]
    Missing(PathBuf),
    #[error("FROM: this is not a database of Twostep")]
    NotTwostep,
    #[error(
        "FROM: the database is from another version of Twostep. Start this version on it once, \
         or copy it with its own version"
    )]
    OtherVersion,
    #[error("FROM: the database cannot be read: {0}")]
    Read(sqlx::Error),
    #[error("TO: the database is not empty: {0}. Nothing was copied")]
    NotEmpty(String),
    /// A trigger or rule in PostgreSQL changed the number of rows.
    #[error("TO: {table} has {copied} rows instead of {expected}. Nothing was copied")]
    RowsDiffer {
        table: String,
        /// Rows in SQLite.
        expected: i64,
        /// Rows in PostgreSQL.
        copied: i64,
    },
    #[error("TO: the database cannot be written: {0}")]
    Write(sqlx::Error),
    #[error("TO: the tables cannot be created: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// A table and how many rows of it were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub table: String,
    pub rows: i64,
}

/// Copies the SQLite database at the URL `from` to the empty PostgreSQL database at the URL
/// `to`. It creates the tables, copies and counts all rows in one transaction, and reads
/// `from` in one snapshot. `from` never changes, and `to` does not change on an error.
pub async fn copy(from: &str, to: &str) -> Result<Vec<Copied>, CopyError> {
    let mut source = open(from).await?;
    let mut source = source.begin().await.map_err(CopyError::Read)?;
    check_version(&mut source).await?;
    let tables = tables(&mut source).await.map_err(CopyError::Read)?;

    let mut target = PgConnection::connect(to).await.map_err(CopyError::Write)?;
    let mut transaction = target.begin().await.map_err(CopyError::Write)?;
    prepare_target(&mut transaction, &tables).await?;
    let mut copied = Vec::new();
    for table in tables {
        let rows = copy_table(&mut source, &mut transaction, &table).await?;
        copied.push(Copied { table, rows });
    }
    transaction.commit().await.map_err(CopyError::Write)?;
    target.close().await.map_err(CopyError::Write)?;
    Ok(copied)
}

/// Opens an existing file, without migrations.
async fn open(url: &str) -> Result<SqliteConnection, CopyError> {
    let options: SqliteConnectOptions = url.parse().map_err(CopyError::Read)?;
    if let Some(file) = missing_file(&options) {
        return Err(CopyError::Missing(file));
    }
    let options = options.create_if_missing(false);
    options.connect().await.map_err(CopyError::Read)
}

/// Requires exactly this program's migrations.
async fn check_version(source: &mut SqliteConnection) -> Result<(), CopyError> {
    let is_migrated =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = $1)")
            .bind(MIGRATIONS)
            .fetch_one(&mut *source);
    if !is_migrated.await.map_err(CopyError::Read)? {
        return Err(CopyError::NotTwostep);
    }
    let versions: Vec<i64> = sqlx::query_scalar(
        r"SELECT version
        FROM _sqlx_migrations
        WHERE success
        ORDER BY version",
    )
    .fetch_all(source)
    .await
    .map_err(CopyError::Read)?;
    let migrator = sqlx::migrate!();
    match migrator.iter().map(|it| it.version).eq(versions) {
        true => Ok(()),
        false => Err(CopyError::OtherVersion),
    }
}

/// All tables but sqlx's. A table comes after those that its foreign keys refer to; a chain of
/// them is shorter than 100.
async fn tables(source: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        r#"
        WITH RECURSIVE
          tables (name) AS (
            SELECT name
            FROM sqlite_master
            WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> $1
          ),
          ordered (name, depth) AS (
            SELECT name, 0
            FROM tables
            UNION
            SELECT tables.name, depth + 1
            FROM tables
            JOIN pragma_foreign_key_list(tables.name) AS foreign_key
            JOIN ordered ON ordered.name = foreign_key."table"
            WHERE tables.name <> ordered.name AND depth < 100
          )
        SELECT name
        FROM ordered
        GROUP BY name
        ORDER BY MAX(depth), name
        "#,
    )
    .bind(MIGRATIONS)
    .fetch_all(source)
    .await
}

/// Creates the tables, unless an unused instance has done so, and locks them.
async fn prepare_target(target: &mut PgConnection, tables: &[String]) -> Result<(), CopyError> {
    let found: Vec<String> = sqlx::query_scalar(
        r"SELECT table_name::TEXT
        FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name <> $1
        ORDER BY table_name",
    )
    .bind(MIGRATIONS)
    .fetch_all(&mut *target)
    .await
    .map_err(CopyError::Write)?;
    if let Some(table) = found.iter().find(|table| !tables.contains(table)) {
        return Err(CopyError::NotEmpty(format!("it has the table {table}")));
    }
    // This fails if the database has other migrations.
    sqlx::migrate!().run(&mut *target).await?;
    for table in tables {
        let name = quoted(table);
        let mut lock = QueryBuilder::new("LOCK TABLE ");
        lock.push(&name).push(" IN ACCESS EXCLUSIVE MODE");
        let locked = lock.build().execute(&mut *target).await;
        locked.map_err(CopyError::Write)?;
        let mut any = QueryBuilder::new("SELECT EXISTS (SELECT 1 FROM ");
        let any = any.push(&name).push(")").build_query_scalar();
        if any
            .fetch_one(&mut *target)
            .await
            .map_err(CopyError::Write)?
        {
            return Err(CopyError::NotEmpty(format!(
                "there are rows in its table {table}"
            )));
        }
    }
    Ok(())
}

/// Copies a table page by page, as JSON: SQLite writes it and PostgreSQL reads it, column by
/// column. A column that PostgreSQL doesn't have is an error.
async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<i64, CopyError> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(&mut *source)
        .await
        .map_err(CopyError::Read)?;
    let name = quoted(table);
    let list: Vec<String> = columns.iter().map(|it| quoted(it)).collect();
    let pair = |it: &String| format!("'{}', {}", it.replace('\'', "''"), quoted(it));
    let pairs: Vec<String> = columns.iter().map(pair).collect();
    let (list, pairs) = (list.join(", "), pairs.join(", "));
    let (mut last, mut copied, mut expected) = (i64::MIN, 0, 0);
    loop {
        let mut page = QueryBuilder::new("SELECT COUNT(*), MAX(row_number), ");
        page.push(format_args!(
            "json_group_array(json_object({pairs})) FROM ("
        ))
        .push(format_args!("SELECT _rowid_ AS row_number, * FROM {name}"))
        .push(" WHERE _rowid_ > ")
        .push_bind(last)
        .push(" ORDER BY _rowid_ LIMIT ")
        .push_bind(PAGE)
        .push(")");
        let page = page.build_query_as().fetch_one(&mut *source).await;
        let (rows, end, json): (i64, Option<i64>, String) = page.map_err(CopyError::Read)?;
        let Some(end) = end else { break };
        let mut insert = QueryBuilder::new("INSERT INTO ");
        insert
            .push(format_args!("{name} ({list}) SELECT {list}"))
            .push(format_args!(" FROM json_populate_recordset(NULL::{name}, "))
            .push_bind(json)
            .push("::JSON)");
        let inserted = insert.build().execute(&mut *target).await;
        copied += inserted.map_err(CopyError::Write)?.rows_affected();
        expected += rows;
        last = end;
    }
    let copied = i64::try_from(copied).unwrap_or(i64::MAX);
    if copied == expected {
        return Ok(copied);
    }
    Err(CopyError::RowsDiffer {
        table: table.to_owned(),
        expected,
        copied,
    })
}

/// An identifier, in both engines.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
