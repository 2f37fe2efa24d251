//! The settings, `.env` and its template.

mod accepted_values;
mod wrong_values;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret;
use twostep::config::{Config, SETTINGS};

/// Every secret of these tests. It must not appear in any output.
const SECRET: &str = "hunter2";
const ACCOUNT: &str = "AC0123456789abcdef0123456789ABCDEF";
const SERVICE: &str = "VA0123456789abcdef0123456789abcdef";
const KEY: &str = "SK0123456789abcdef0123456789abcdef";
const TEMPLATE: &str = include_str!("../../../.env.template");

pub const TWILIO: [(&str, &str); 3] = [
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

/// `EX_CONFIG` of sysexits.h: a supervisor must not restart the program.
const WRONG_SETTING: i32 = 78;

/// Starts the program with only these variables, in a folder that contains at most a `.env`.
/// Returns the one line with which it stops.
#[track_caller]
fn program_stops(dot_env: Option<&str>, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = dot_env {
        std::fs::write(folder.path().join(".env"), text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| (name, value.as_ref()));
    program_stops_in(folder.path(), variables)
}

#[track_caller]
fn program_stops_in<'a>(
    folder: &Path,
    variables: impl Iterator<Item = (&'a &'a str, &'a OsStr)>,
) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_twostep"))
        .env_clear()
        .envs(variables)
        .current_dir(folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(WRONG_SETTING), "{stderr}");
    assert!(output.stdout.is_empty(), "{stderr}");
    let line = stderr.strip_prefix("twostep: ").unwrap().trim_end();
    assert_one_safe_line(line);
    line.to_owned()
}

/// The error of the first wrong setting.
#[track_caller]
fn error(variables: &[(&str, &str)]) -> String {
    let error = Config::from_variables(&map(variables));
    let error = error.err().unwrap_or_else(|| panic!("{variables:?}"));
    assert_one_safe_line(&error.to_string());
    error.to_string()
}

#[track_caller]
fn assert_one_safe_line(line: &str) {
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains(SECRET), "{line}");
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
fn the_environment_wins_over_dot_env() {
    const RUST_LOG: (&str, &str) = ("RUST_LOG", "=");
    for (variables, expected) in [
        (
            &[] as &[_],
            r#"PORT must be a number from 0 to 65535, not "of-file""#,
        ),
        (
            &[("PORT", "x")],
            r#"PORT must be a number from 0 to 65535, not "x""#,
        ),
        // The PORT of the file would stop the start before RUST_LOG does.
        (&[("PORT", "0"), RUST_LOG], "RUST_LOG must "),
        (&[("PORT", ""), RUST_LOG], "RUST_LOG must "),
    ] {
        let line = program_stops(Some("\u{feff}PORT=of-file\nPORT=2\n"), variables);
        assert!(line.starts_with(expected), "{variables:?}: {line}");
    }
}

#[test]
fn dot_env_is_read_as_a_shell_reads_it() {
    for (text, value) in [
        ("export PORT=x # here\n", "x"),
        ("PORT='$x #y'\n", "$x #y"),
        ("PORT=\"x y\"\n", "x y"),
    ] {
        let line = program_stops(Some(text), &[]);
        let expected = format!("PORT must be a number from 0 to 65535, not \"{value}\"");
        assert_eq!(line, expected, "{text:?}");
    }
}

#[test]
fn a_wrong_dot_env_stops_the_start_and_is_not_shown() {
    for (text, line) in [
        ("hunter2", 1),
        ("PORT=1\n\n# don't\nhunter2 x\nHOST=::1\n", 4),
        ("PORT=1\r\nSMTP_URL=hunter2 hunter2\r\n", 2),
        ("PORT=1\nA='x\ny'\nSMTP_URL=\"hunter2\nHOST=::1\n\n", 4),
        ("A='x\ny' hunter2\n", 1),
        ("hunter2 # comment", 1),
        ("\u{feff}PORT=1\n=hunter2\n", 2),
        ("A=${hunter2\n", 1),
        ("# hunter2 is a comment\nhunter2\n", 2),
        ("A=hunter2\nhunter2\n", 2),
    ] {
        let stopped = program_stops(Some(text), &[("PORT", "3000")]);
        let start = format!(".env line {line} must ");
        assert!(stopped.starts_with(&start), "{text:?}: {stopped}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".env")).unwrap();
    let stopped = program_stops_in(folder.path(), [].into_iter());
    assert!(stopped.starts_with(".env cannot be read: "), "{stopped}");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_stops_the_start() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let value = OsStr::from_bytes(b"smtp://hunter2\xff");
    let line = program_stops_in(folder.path(), [(&"SMTP_URL", value)].into_iter());
    assert_eq!(line, "SMTP_URL must be valid UTF-8");
}

#[test]
fn an_error_mentions_a_misspelled_setting() {
    let variables = [
        ("TWILIO_ACOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", SECRET),
    ];
    let line = program_stops(None, &variables);
    assert_eq!(
        line,
        "TWILIO_ACCOUNT_SID must be set, because TWILIO_AUTH_TOKEN is \
         (is TWILIO_ACOUNT_SID misspelled?)"
    );
}

#[test]
fn the_unit_restarts_the_server_unless_a_setting_is_wrong() {
    let unit = include_str!("../../../deploy/twostep.service");
    for line in [
        &format!("RestartPreventExitStatus={WRONG_SETTING}"),
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
    ] {
        assert!(unit.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn an_unchanged_copy_of_the_template_works() {
    // Nothing but the last setting is wrong, so everything before it was accepted.
    let line = program_stops(Some(TEMPLATE), &[("RUST_LOG", "=")]);
    assert!(line.starts_with("RUST_LOG must "), "{line}");
    assert_eq!(dotenvy::from_read_iter(TEMPLATE.as_bytes()).count(), 0);
}

#[test]
fn the_template_lists_every_setting_with_its_default() {
    let lines = TEMPLATE.lines().filter_map(|line| line.strip_prefix('#'));
    let commented: Vec<&str> = lines.filter(|line| !line.starts_with(' ')).collect();
    let commented = commented.join("\n");
    let found = dotenvy::from_read_iter(commented.as_bytes());
    let found: Vec<(String, String)> = found.collect::<Result<_, _>>().unwrap();
    let expected = SETTINGS.map(|(name, default)| match name {
        "BASE_URL" => (name.to_owned(), "http://localhost:3000".to_owned()),
        _ => (name.to_owned(), default.to_owned()),
    });
    assert_eq!(found, expected);
}

#[test]
fn every_listed_setting_is_read() {
    let shown = |variables: &HashMap<String, String>| {
        let config = Config::from_variables(variables).ok()?;
        let password = config.twilio.as_ref()?.password.expose_secret().to_owned();
        Some(format!("{config:?} {password}"))
    };
    let unchanged = map(&PRODUCTION);
    for (name, _) in SETTINGS {
        let mut changed = unchanged.clone();
        changed.insert(name.into(), "?".into());
        assert_ne!(shown(&changed), shown(&unchanged), "{name}");
    }
}
