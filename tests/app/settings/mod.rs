//! The settings, `.env` and its template.

mod accepted_values;
mod wrong_values;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret;
use twostep::config::{Config, SETTINGS};

/// Stands for every secret: it must not appear in any output.
const SECRET: &str = "hunter2";
const ACCOUNT: &str = "AC0123456789abcdef0123456789ABCDEF";
const SERVICE: &str = "VA0123456789abcdef0123456789abcdef";
const KEY: &str = "SK0123456789abcdef0123456789abcdef";
const TEMPLATE: &str = include_str!("../../../.env.template");

const TWILIO: [(&str, &str); 3] = [
    ("TWILIO_ACCOUNT_SID", ACCOUNT),
    ("TWILIO_AUTH_TOKEN", SECRET),
    ("TWILIO_VERIFY_SERVICE_ID", SERVICE),
];

pub const PRODUCTION: [(&str, &str); 8] = [
    ("APP_ENV", "production"),
    ("BASE_URL", "https://login.example.org"),
    TWILIO[0],
    TWILIO[1],
    TWILIO[2],
    ("SMTP_URL", "smtps://user:hunter2@mail.example.org:465"),
    ("SMS_COUNTRIES", "all"),
    ("TRUSTED_PROXIES", "none"),
];

/// The status by which a supervisor knows that another try is of no use: `EX_CONFIG` of
/// sysexits.h.
const WRONG_SETTING: i32 = 78;

/// Starts the program with these variables alone, in a folder that holds at most
/// a `.env`, and gives the one line with which it stops.
fn stopped_with(dot_env: Option<&str>, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = dot_env {
        std::fs::write(folder.path().join(".env"), text).unwrap();
    }
    stopped_in(folder.path(), variables)
}

fn stopped_in(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_twostep"))
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(WRONG_SETTING), "{variables:?}");
    assert_eq!(stderr.lines().count(), 1, "{variables:?}: {stderr}");
    assert!(!stderr.contains(SECRET), "{variables:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{variables:?}");
    let line = stderr.strip_prefix("twostep: ").unwrap();
    line.trim_end().to_owned()
}

/// Every value stops the start, with a line that begins with the setting's name.
fn all_stop(setting: &str, values: &[&str]) {
    all_stop_beside(&[], setting, values);
}

fn all_stop_beside(others: &[(&str, &str)], setting: &str, values: &[&str]) {
    for value in values {
        let variables = [others, &[(setting, *value)]].concat();
        let line = stopped_with(None, &variables);
        assert!(
            line.starts_with(&format!("{setting} must ")),
            "{value:?}: {line}"
        );
    }
}

fn without(
    variables: &[(&'static str, &'static str)],
    name: &str,
) -> Vec<(&'static str, &'static str)> {
    let others = variables.iter().filter(|(other, _)| *other != name);
    others.copied().collect()
}

fn map(variables: &[(&str, &str)]) -> HashMap<String, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(own).collect()
}

fn config(variables: &[(&str, &str)]) -> Config {
    Config::from_variables(&map(variables)).unwrap_or_else(|error| panic!("{variables:?}: {error}"))
}

#[test]
fn dot_env_is_read() {
    let line = stopped_with(Some("PORT=from-file\n"), &[]);
    assert!(
        line.starts_with("PORT must ") && line.ends_with("not \"from-file\""),
        "{line}"
    );
}

#[test]
fn the_environment_wins_over_dot_env() {
    let line = stopped_with(Some("PORT=from-file\n"), &[("PORT", "said")]);
    assert!(line.ends_with("not \"said\""), "{line}");
    // The file's PORT would stop the start before RUST_LOG does.
    for port in ["0", ""] {
        let line = stopped_with(
            Some("PORT=from-file\n"),
            &[("PORT", port), ("RUST_LOG", "=")],
        );
        assert!(line.starts_with("RUST_LOG must "), "{line}");
    }
}

#[test]
fn a_dot_env_that_cannot_be_parsed_names_its_line_only() {
    let line = stopped_with(Some("PORT=3000\n\nSMTP_URL=smtp://a b hunter2\n"), &[]);
    assert!(line.starts_with(".env line 3 must "), "{line}");
    let line = stopped_with(Some("PORT=3000\nhunter2\n"), &[("PORT", "3000")]);
    assert!(line.starts_with(".env line 2 must "), "{line}");
}

#[test]
fn a_dot_env_that_cannot_be_read_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".env")).unwrap();
    let line = stopped_in(folder.path(), &[]);
    assert!(line.starts_with(".env cannot be read: "), "{line}");
}

#[test]
fn an_unchanged_copy_of_the_template_works() {
    // Nothing but the last setting is wrong, so everything before it was accepted.
    let line = stopped_with(Some(TEMPLATE), &[("RUST_LOG", "=")]);
    assert!(line.starts_with("RUST_LOG must "), "{line}");
    assert_eq!(dotenvy::from_read_iter(TEMPLATE.as_bytes()).count(), 0);
}

#[test]
fn the_template_lists_the_settings_that_the_program_reads_with_their_defaults() {
    let set: String = TEMPLATE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let defaults: Vec<(String, String)> = dotenvy::from_read_iter(set.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<&str> = defaults.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, SETTINGS);

    let mut unset = map(&TWILIO);
    let mut said = defaults
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect::<HashMap<_, _>>();
    said.extend(unset.clone());
    // The only default that depends on another setting.
    unset.insert("BASE_URL".into(), "http://localhost:3000".into());
    let shown = |variables| format!("{:?}", Config::from_variables(variables).unwrap());
    assert_eq!(shown(&said), shown(&unset));
}

#[test]
fn every_listed_setting_is_read() {
    let shown = |variables: &HashMap<String, String>| {
        let config = Config::from_variables(variables).ok()?;
        let password = config.twilio.as_ref()?.password.expose_secret().to_owned();
        Some(format!("{config:?} {password}"))
    };
    let unchanged = map(&PRODUCTION);
    for name in SETTINGS {
        let mut changed = unchanged.clone();
        changed.insert(name.into(), "?".into());
        assert_ne!(shown(&changed), shown(&unchanged), "{name}");
    }
}
