//! The operator's commands. They need the database and nothing else, and work
//! beside a running server, which knows at its next request what they did.

mod backup;
mod copy_database;
mod sms_report;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use strum::VariantArray;

use crate::config::{Config, ConfigError};
use crate::models::backup::BackupError;
use crate::models::copy_database::CopyError;
use crate::models::purge::Kind;
use crate::models::{self, Database, OpenError};
use crate::services::clock::Clock;

/// Accounts with a password and an optional second step by phone.
///
/// Without a command it serves. Settings come from the environment and from .env in
/// the current folder. The other commands need DATABASE_URL only, and may be used
/// while the server runs.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Cli {
    /// What to do; without it, to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until Ctrl-C or SIGTERM
    Serve,
    /// What the operator does.
    #[command(flatten)]
    Operator(OperatorCommand),
}

/// What the operator can do.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// What works on the database that the settings name.
    #[command(flatten)]
    Database(DatabaseCommand),
    /// Write an SQLite database to a new file, while the server runs
    Backup {
        /// What is made; nothing may be there yet
        file: PathBuf,
    },
    /// Copy an SQLite database to an empty one of PostgreSQL's; stop the server first
    CopyDatabase {
        /// Such as sqlite://twostep.db
        from: SecretString,
        /// Such as postgres://user@host/database; PGPASSWORD may hold the password
        to: SecretString,
    },
}

/// What works on the database that the settings name.
#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Look after one account
    #[command(subcommand)]
    User(UserCommand),
    /// Show how many codes were sent and entered rightly, by day and country
    SmsReport {
        /// Days to look back, today among them
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=models::sms_days::KEPT_DAYS))]
        days: i64,
    },
    /// Delete what has expired, as the server does every few minutes
    Purge,
}

/// What the operator can do with an account. NAME is its user name, in any case.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Show what is known of an account, without secrets
    Show(Name),
    /// Keep everybody out of an account and end its sessions
    Lock(Name),
    /// Open a locked account, and forget its wrong codes
    Unlock(Name),
    /// Switch two-factor authentication off where the phone is lost
    #[command(name = "reset-2fa")]
    Reset2fa(Name),
    /// Log an account out everywhere
    EndSessions(Name),
    /// Delete an account and everything of it, for good
    Delete(Name),
}

/// Whose account it is about.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// The user name, in any case
    name: String,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting that says where the database is.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// There is no such database, or it cannot be opened.
    #[error("DATABASE_URL: {0}")]
    Open(#[from] OpenError),
    /// Nobody has that name.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// The system would not tell when to end.
    #[error("no signals can be heard: {0}")]
    Signals(#[source] std::io::Error),
    /// There is no backup.
    #[error("{0}")]
    Backup(#[from] BackupError),
    /// One database could not be copied to the other.
    #[error("{0}")]
    Copy(#[from] CopyError),
    /// The work could not be done.
    #[error("{}", .0.with_causes())]
    Model(#[from] models::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Model(error.into())
    }
}

/// Carries out a command, and returns what there is to say: lines of plain text without
/// secrets.
pub async fn run(command: OperatorCommand, clock: &Clock) -> Result<String, Error> {
    match command {
        OperatorCommand::Database(command) => on_database(command, clock).await,
        OperatorCommand::Backup { file } => backup::run(&file).await,
        OperatorCommand::CopyDatabase { from, to } => copy_database::run(&from, &to).await,
    }
}

async fn on_database(command: DatabaseCommand, clock: &Clock) -> Result<String, Error> {
    let url = Config::connection_url_from_environment()?;
    let database = models::connect_existing(url.expose_secret()).await?;
    let now = clock.now();
    let said = match command {
        DatabaseCommand::User(command) => user::run(&database, command, now).await,
        DatabaseCommand::SmsReport { days } => sms_report::run(&database, days, now).await,
        DatabaseCommand::Purge => purge_all(&database, now).await,
    };
    database.close().await;
    said
}

async fn purge_all(database: &Database, now: i64) -> Result<String, Error> {
    let mut said = String::new();
    for kind in Kind::VARIANTS {
        let rows = kind.purge(database, now).await?;
        said += &format!("{rows:>10}  {}\n", kind.as_ref());
    }
    Ok(said)
}
