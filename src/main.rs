//! The program: settings, app, serve; or a command of the operator's.

use std::error::Error;
use std::fmt;
#[cfg(unix)]
use std::fs::File;
use std::io::{self, Write};
#[cfg(unix)]
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::prelude::*;
use twostep::cli::{self, Cli, Command};
use twostep::config::{Config, ConfigError, LogFormat};
use twostep::server::Limits;
use twostep::services::clock::{Clock, wall_clock};
use twostep::services::signals::Signals;
use twostep::services::twilio_verify;
use twostep::{App, StartError};

/// A request makes and frees some hundred small things.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How the server ends where a setting is wrong, so that its supervisor does not start it
/// again: `EX_CONFIG` of sysexits.h. What may be better another time, such as a database
/// that is not there yet, ends it with 1, and so does whatever fails a command.
const WRONG_SETTING: u8 = 78;

fn main() -> ExitCode {
    // What cannot be understood ends here, with status 2.
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twostep: {error}");
            if is_of_settings(&*error) {
                ExitCode::from(WRONG_SETTING)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn is_of_settings(error: &(dyn Error + 'static)) -> bool {
    let at_start = error.downcast_ref::<StartError>();
    error.is::<ConfigError>() || at_start.is_some_and(StartError::is_of_settings)
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Serve => {
            let config = Config::from_environment()?;
            start_log(&config).map_err(|error| format!("the log cannot be written: {error}"))?;
            config.log_warnings();
            let served = runtime.block_on(serve(config));
            // Not by dropping it, which waits for name lookups without bound.
            runtime.shutdown_background();
            served
        }
        Command::Operator(command) => {
            let said = runtime.block_on(cli::run(command, &Clock::system()))?;
            Ok(io::stdout().write_all(said.as_bytes())?)
        }
    }
}

/// A moment in the log (RFC 3339), in microseconds. The timers of tracing-subscriber write
/// the same, and take ten times as long for it.
struct Moment;

impl FormatTime for Moment {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        let now = wall_clock().max(UNIX_EPOCH); // there are no words for an earlier moment
        write!(line, "{}", humantime::format_rfc3339_micros(now))
    }
}

/// The standard error output, without the lock that `std` has around it: threads that write
/// a line at once would sleep for each other. The system keeps lines apart, in a pipe those
/// of up to 4 KiB (`PIPE_BUF`, pipe(7)).
#[cfg(unix)]
fn standard_error() -> io::Result<File> {
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn standard_error() -> io::Result<fn() -> io::Stderr> {
    Ok(io::stderr)
}

/// The log goes to the standard error output, one line an event.
fn start_log(config: &Config) -> io::Result<()> {
    // At trace the layer against cross-site requests would write addresses, and with
    // them the tokens of mailed links.
    let targets = config.rust_log.clone();
    let targets = targets.with_target("tower_http::csrf", LevelFilter::OFF);
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE) // the targets decide
        // That a line cannot be written, to a full disk perhaps, it would say with a
        // macro that panics where that cannot be written either.
        .log_internal_errors(false)
        .with_timer(Moment)
        .with_writer(standard_error()?);
    match config.log_format {
        LogFormat::Text => log.finish().with(targets).init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_span_list(false);
            log.finish().with(targets).init();
        }
    }
    Ok(())
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let address = (config.host, config.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!(
            "HOST, PORT: cannot listen on {}:{}: {error}",
            address.0, address.1
        )
    })?;
    let app = App::build(config, Clock::system(), twilio_verify::TIMEOUT).await?;
    // Who has read the line below may ask for the end.
    let signals = Signals::listen()?;
    // Other programs wait for this line. That nobody reads it is no error.
    let _ = writeln!(
        io::stdout(),
        "Listening on http://{}",
        listener.local_addr()?
    );
    app.serve(listener, Limits::default(), shutdown_signal(signals))
        .await?;
    Ok(())
}

/// Ready at the first signal. The next one ends the program at once, whatever is under
/// way.
async fn shutdown_signal(mut signals: Signals) {
    signals.next().await;
    tracing::info!(event = "stopping", "finishing what is under way");
    tokio::spawn(async move {
        let status = signals.next().await;
        tracing::warn!(event = "stopped_at_once", "asked to end a second time");
        std::process::exit(status)
    });
}
