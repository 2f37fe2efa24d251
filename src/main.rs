//! The program: runs the server, or a command of the operator.

use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use twostep::cli::{self, Cli, Command, terminal};
use twostep::config::{Config, ConfigError};
use twostep::server::Limits;
use twostep::services::clock::Clock;
use twostep::services::signals::Signals;
use twostep::services::twilio_verify;
use twostep::{App, StartError};

/// A request makes some hundred small allocations.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit status if a setting is wrong (`EX_CONFIG` of sysexits.h), so that a supervisor
/// doesn't restart the server. Failures that may pass, and failed commands, exit with 1.
const WRONG_SETTING: u8 = 78;

fn main() -> ExitCode {
    // Exits with status 2 if the arguments are wrong.
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twostep: {error}");
            if is_setting_error(&*error) {
                ExitCode::from(WRONG_SETTING)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn is_setting_error(error: &(dyn Error + 'static)) -> bool {
    let start_error = error.downcast_ref::<StartError>();
    error.is::<ConfigError>() || start_error.is_some_and(StartError::is_setting_error)
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Serve => {
            let config = Config::from_environment()?;
            terminal::start_log(&config);
            config.log_warnings();
            let result = runtime.block_on(serve(config));
            // Dropping the runtime would wait for name lookups without limit.
            runtime.shutdown_background();
            result
        }
        Command::Operator(command) => {
            let output = runtime.block_on(cli::run(command, &Clock::system()))?;
            Ok(io::stdout().write_all(output.as_bytes())?)
        }
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let address = SocketAddr::from((config.host, config.port));
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| describe_bind_error(address, &error))?;
    let bound = listener.local_addr()?;
    let banner = terminal::banner(&config, bound.port());
    let app = App::build(config, Clock::system(), twilio_verify::TIMEOUT).await?;
    // A reader of the line below may send a signal.
    let signals = Signals::listen()?;
    let mut output = io::stdout();
    if output.is_terminal() {
        let _ = write!(output, "\n{banner}\n");
    }
    // Other programs wait for this line. A closed output is no error.
    let _ = writeln!(output, "Listening on http://{bound}");
    app.serve(listener, Limits::default(), shutdown_signal(signals))
        .await?;
    Ok(())
}

fn describe_bind_error(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() != ErrorKind::AddrInUse {
        return format!("HOST, PORT: cannot listen on {address}: {error}");
    }
    let other = address.port().checked_add(1).unwrap_or(3000);
    format!(
        "PORT: {address} is already in use. Choose another port: PORT={other} cargo run, or \
         PORT={other} twostep. PORT=0 takes a free one"
    )
}

/// Waits for the first signal. The next one stops the program immediately.
async fn shutdown_signal(mut signals: Signals) {
    signals.next().await;
    tracing::info!(event = "stopping", "finishing requests");
    tokio::spawn(async move {
        let status = signals.next().await;
        tracing::warn!(
            event = "stopped_at_once",
            "second signal: stopping immediately"
        );
        std::process::exit(status)
    });
}
