//! The program: settings, app, serve.

use std::process::ExitCode;

use twostep::config::Config;

fn main() -> ExitCode {
    match Config::from_environment() {
        Ok(_config) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twostep: {error}");
            ExitCode::FAILURE
        }
    }
}
