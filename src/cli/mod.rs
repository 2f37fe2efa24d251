//! The operator's commands. They need only the database. They work while the server runs,
//! and it sees their changes at its next request.

mod backup;
mod copy_database;
mod sms_report;
pub mod terminal;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use strum::VariantArray;

use crate::config::{Config, ConfigError};
use crate::models::backup::BackupError;
use crate::models::copy_database::CopyError;
use crate::models::purge::ExpiringRows;
use crate::models::{self, Database, OpenError};
use crate::services::clock::Clock;

/// Accounts with a password and optional two-factor authentication.
///
/// Without a command, twostep runs the server. Settings come from the environment and
/// from .env in the current folder. The other commands need only DATABASE_URL, and
/// work while the server runs.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Cli {
    /// The command. Without it, the server runs.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until Ctrl-C or SIGTERM
    Serve,
    /// A command of the operator.
    #[command(flatten)]
    Operator(OperatorCommand),
}

/// A command of the operator.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Manage one account
    #[command(subcommand)]
    User(UserCommand),
    /// Show how many codes were sent and verified, by day and country
    SmsReport {
        /// Days to report, including today
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=models::sms_days::KEPT_DAYS))]
        days: i64,
    },
    /// Delete expired rows, as the server does every few minutes
    Purge,
    /// Back up an SQLite database to a new file while the server runs
    Backup {
        /// The backup's path; the file must not exist
        file: PathBuf,
    },
    /// Copy an SQLite database to an empty PostgreSQL database; stop the server first
    CopyDatabase {
        /// Such as sqlite://twostep.db
        from: SecretString,
        /// Such as postgres://user@host/database; PGPASSWORD may hold the password
        to: SecretString,
    },
}

/// A command for one account.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Show an account without its secrets
    Show(Name),
    /// Lock an account and end its sessions
    Lock(Name),
    /// Unlock an account and reset its limits for codes
    Unlock(Name),
    /// Turn off two-factor authentication, for a lost phone
    #[command(name = "reset-2fa")]
    Reset2fa(Name),
    /// Log an account out on all devices
    EndSessions(Name),
    /// Delete an account and all its data permanently
    Delete(Name),
}

/// The name of the account.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// The username, in any case
    name: String,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DATABASE_URL` or an argument is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("DATABASE_URL: {0}")]
    Open(#[from] OpenError),
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// The signals that interrupt the command cannot be received.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error("{}", models::with_causes(.0))]
    Model(#[from] models::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Model(error.into())
    }
}

/// Runs a command and returns its output: lines of plain text without secrets.
pub async fn run(command: OperatorCommand, clock: &Clock) -> Result<String, Error> {
    let now = clock.now();
    match command {
        OperatorCommand::User(command) => {
            with_database(async |database| user::run(database, command, now).await).await
        }
        OperatorCommand::SmsReport { days } => {
            with_database(async |database| sms_report::run(database, days, now).await).await
        }
        OperatorCommand::Purge => {
            with_database(async |database| purge_all(database, now).await).await
        }
        OperatorCommand::Backup { file } => backup::run(&file).await,
        OperatorCommand::CopyDatabase { from, to } => copy_database::run(&from, &to).await,
    }
}

/// Runs a command on the database that `DATABASE_URL` names.
async fn with_database(
    command: impl AsyncFnOnce(&Database) -> Result<String, Error>,
) -> Result<String, Error> {
    let url = Config::database_url_from_environment()?;
    let database = models::connect_existing(url.expose_secret()).await?;
    let output = command(&database).await;
    database.close().await;
    output
}

async fn purge_all(database: &Database, now: i64) -> Result<String, Error> {
    let mut output = String::new();
    for kind in ExpiringRows::VARIANTS {
        let rows = kind.purge(database, now).await?;
        output += &format!("{rows:>10}  {}\n", kind.as_ref());
    }
    Ok(output)
}
