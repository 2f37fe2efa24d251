//! The operator's commands: the real program on the database of a running app.

use std::path::Path;
use std::process::{Command, Output};

use secrecy::ExposeSecret;
use twostep::services::clock::Clock;

use crate::support::TestApp;

mod accounts;
mod backup;
mod commands;
mod copy_database;
mod delete;
mod two_factor;

/// How a command ended.
struct Ended {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("a signal ended it"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// What it said, if all went well.
    #[track_caller]
    fn said(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The one line with which it failed.
    #[track_caller]
    fn failed(self) -> String {
        assert_eq!((self.status, self.out.as_str()), (1, ""), "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        let line = self.err.strip_prefix("twostep: ").unwrap();
        line.trim_end().to_owned()
    }
}

/// The program, with these variables alone.
fn program(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twostep"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .current_dir(folder);
    command
}

/// Runs the program in an empty folder, with these variables alone.
async fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), variables, arguments).await
}

/// Runs the program in a folder. The app of the test goes on meanwhile.
async fn run_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = program(folder, variables, arguments);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap().into()
}

/// Where an app's database is.
fn database_of(app: &TestApp) -> String {
    app.state.config.connection_url().expose_secret().to_owned()
}

/// Runs the program on an app's database.
async fn run(app: &TestApp, arguments: &[&str]) -> Ended {
    run_with(&[("DATABASE_URL", &database_of(app))], arguments).await
}

/// The app's time becomes the machine's, which is the program's.
fn catch_up(app: &TestApp) {
    let behind = Clock::system().now() - app.state.clock.now();
    app.advance(u64::try_from(behind).unwrap_or(0));
}
