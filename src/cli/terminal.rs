//! The log, and the program's output on a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use secrecy::ExposeSecret;
use tracing::field::Field;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::prelude::*;

use crate::config::{Config, Environment, LogFormat};
use crate::models;

/// Starts the log on standard error: one line per event.
pub fn start_log(config: &Config) {
    // At trace level, the CSRF layer would log URLs, and so the tokens of emailed links.
    let targets = config.rust_log.clone();
    let targets = targets.with_target("tower_http::csrf", LevelFilter::OFF);
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE) // the targets decide
        // tracing would report a full disk with a macro that panics if standard error is full.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text if io::stderr().is_terminal() => {
            let log = log.compact().without_time().with_target(false);
            let log = log.fmt_fields(debug_fn(|line, field, value| {
                write_field(line, field, &format!("{value:?}"))
            }));
            log.finish().with(targets).init();
        }
        LogFormat::Text => log.with_ansi(false).finish().with(targets).init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_span_list(false);
            log.finish().with(targets).init();
        }
    }
}

/// Writes a field for a terminal, where lines are narrow: without those that only machines
/// need, and with the demo phone's code in bold.
fn write_field(line: &mut Writer<'_>, field: &Field, value: &str) -> std::fmt::Result {
    // A client may have sent it, and a terminal obeys control characters.
    let value = value.replace(char::is_control, "\u{fffd}");
    match field.name() {
        "message" => write!(line, "{value}"),
        "event" | "id" | "client" => Ok(()),
        "code" if line.has_ansi_escapes() => write!(line, " \x1b[1;7m {value} \x1b[0m"),
        name => write!(line, " {name}={value}"),
    }
}

/// The first lines on a terminal: where to go, and how to stop.
pub fn banner(config: &Config, port: u16) -> String {
    let base = config.base_url_for(port);
    let page = |path| base.join(path).unwrap_or_else(|_| base.clone());
    let is_development = config.environment == Environment::Development;
    let mut text = String::new();
    let mut line = |label, value: &str| {
        let _ = writeln!(text, "  {label:<12}{value}");
    };
    line("Twostep", base.as_str().trim_end_matches('/'));
    if is_development && config.twilio.is_none() {
        line("Demo phone", page("/dev/phone").as_str());
    }
    if is_development && config.smtp_url.is_none() {
        line("Mailbox", page("/dev/mailbox").as_str());
    }
    let database = models::display_name(config.database_url.expose_secret());
    line("Database", &database);
    line("Stop", "Ctrl-C");
    text
}
