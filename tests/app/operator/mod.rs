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

const USER_COMMANDS: [&str; 6] = [
    "show",
    "lock",
    "unlock",
    "reset-2fa",
    "end-sessions",
    "delete",
];

/// The exit status and the output of a command.
pub struct Outcome {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("a signal killed it"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    /// The output of a command that succeeded.
    #[track_caller]
    pub fn output(self) -> String {
        assert_eq!((self.status, &*self.stderr), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// The one line of a command that failed.
    #[track_caller]
    pub fn error(self) -> String {
        assert_eq!((self.status, &*self.stdout), (1, ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        let line = self.stderr.strip_prefix("twostep: ").unwrap();
        line.trim_end().to_owned()
    }
}

/// The program, with only these variables.
pub fn program(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twostep"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .current_dir(folder);
    command
}

/// Runs the program in an empty folder, with only these variables.
async fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), variables, arguments).await
}

/// Runs the program in a folder, while the app of the test continues.
pub async fn run_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let mut command = program(folder, variables, arguments);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap().into()
}

/// The URL of an app's database.
fn database_of(app: &TestApp) -> String {
    app.state.config.database_url.expose_secret().to_owned()
}

/// Runs the program on an app's database.
pub async fn run(app: &TestApp, arguments: &[&str]) -> Outcome {
    run_with(&[("DATABASE_URL", &database_of(app))], arguments).await
}

/// Moves the app's clock to the machine's time, which the program uses.
pub fn catch_up(app: &TestApp) {
    let behind = Clock::system().now() - app.state.clock.now();
    app.advance(u64::try_from(behind).unwrap_or(0));
}
