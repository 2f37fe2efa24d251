//! What the settings accept, and how a wrong one stops the start.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret;
use twostep::config::{Config, Environment, LogFormat, SETTINGS};

/// Stands for every secret: it must not appear in any output.
const SECRET: &str = "hunter2";
const ACCOUNT: &str = "AC0123456789abcdef0123456789ABCDEF";
const SERVICE: &str = "VA0123456789abcdef0123456789abcdef";
const KEY: &str = "SK0123456789abcdef0123456789abcdef";
const TEMPLATE: &str = include_str!("../../.env.template");

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

// Wrong values

#[test]
fn the_environment_is_development_or_production() {
    all_stop("APP_ENV", &["prod", "Production", "staging"]);
}

#[test]
fn the_host_is_an_address() {
    all_stop("HOST", &["example.org", "127.0.0", "127.0.0.1:80", "[::1]"]);
}

#[test]
fn the_port_is_a_number() {
    all_stop("PORT", &["-1", "65536", "http", "3000.5", "30 00"]);
    let line = stopped_with(None, &[("PORT", "abc")]);
    assert_eq!(line, "PORT must be a number from 0 to 65535, not \"abc\"");
}

#[test]
fn the_base_url_is_scheme_host_and_port() {
    let wrong = [
        "example.org",
        "//example.org",
        "ftp://example.org",
        "https://",
        "https://example.org/app",
        "https://example.org/?a=b",
        "https://example.org/#a",
        "https://hunter2@example.org",
        "https://user:hunter2@example.org",
        "https://example.org:99999",
    ];
    all_stop("BASE_URL", &wrong);
}

#[test]
fn the_database_is_a_file_of_sqlite_or_postgresql() {
    let wrong = [
        "mysql://user:hunter2@localhost/app",
        "twostep.db",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite:%3Amemory%3A",
        "sqlite:file::memory:?cache=shared",
        "sqlite://app.db?mode=memory",
        "sqlite://app.db?mode=ro",
        "postgres:hunter2",
        "postgres://user:hunter2@localhost:port/app",
    ];
    all_stop("DATABASE_URL", &wrong);
}

/// What a database's driver alone knows of.
#[test]
fn a_parameter_of_a_database_may_be_wrong_too() {
    let url = "postgres://user:hunter2@127.0.0.1/app?sslmode=sometimes";
    let line = stopped_with(None, &[("DATABASE_URL", url), ("PORT", "0")]);
    let start = "DATABASE_URL: the database cannot be opened: ";
    assert!(
        line.starts_with(start) && line.contains("ssl_mode"),
        "{line}"
    );
}

#[test]
fn the_unit_does_not_try_again_with_a_wrong_setting_and_always_otherwise() {
    let unit = include_str!("../../deploy/twostep.service");
    let says = |line: &str| unit.lines().any(|other| other == line);
    assert!(says(&format!("RestartPreventExitStatus={WRONG_SETTING}")));
    assert!(says("Restart=on-failure") && says("StartLimitIntervalSec=0"));
}

#[test]
fn sids_have_their_form() {
    let short = &ACCOUNT[..33];
    let no_hex = "AC0123456789abcdef0123456789abcdeg";
    all_stop("TWILIO_ACCOUNT_SID", &[SECRET, short, no_hex, SERVICE]);
    all_stop_beside(&TWILIO, "TWILIO_VERIFY_SERVICE_ID", &[SECRET, ACCOUNT]);
    all_stop_beside(
        &TWILIO,
        "TWILIO_VERIFY_ENROLL_SERVICE_ID",
        &[SECRET, ACCOUNT],
    );
    let secret = ("TWILIO_API_KEY_SECRET", SECRET);
    all_stop_beside(
        &[TWILIO[0], TWILIO[2], secret],
        "TWILIO_API_KEY_SID",
        &[SECRET, ACCOUNT],
    );
}

/// ASVS 12.3.1
#[test]
fn verify_is_reached_in_clear_on_this_machine_only() {
    let wrong = [
        "verify.twilio.com",
        "http://verify.twilio.com",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1:8080",
        "http://[::2]",
        "http://0.0.0.0",
        "https://user:hunter2@verify.twilio.com",
        "https://verify.twilio.com/v2",
        "https://verify.twilio.com?hunter2",
    ];
    all_stop_beside(&TWILIO, "TWILIO_VERIFY_BASE_URL", &wrong);
}

#[test]
fn the_mail_server_is_a_url() {
    let wrong = [
        "mail.example.org",
        "smtp:hunter2",
        "smtps://",
        "smtps://user:hunter2@",
        "smtps://user@mail.example.org", // half of what a log-in needs
        "smtps://:hunter2@mail.example.org",
        "smtps://mail.example.org/hunter2",
        "smtp://mail.example.org?tls=hunter2",
        "smtp://mail.example.org#hunter2",
        "https://user:hunter2@mail.example.org",
        "smtps://user:hunter2@mail.example.org:port",
    ];
    all_stop("SMTP_URL", &wrong);
}

#[test]
fn the_sender_is_an_address() {
    let wrong = [
        "Twostep",
        "Twostep <>",
        "Twostep <no-reply>",
        "Twostep no-reply@example.org",
        "Twostep <a@example.org> <b@example.org>",
        "Two\"step <a@example.org>",
        "Twostep\r\nBcc: <b@example.org>",
        "\"a\r\nBcc: b\"@example.org",
        "Twostep <\"a\tb\"@example.org>",
    ];
    all_stop("MAIL_FROM", &wrong);
}

#[test]
fn countries_are_known_region_codes() {
    all_stop(
        "SMS_COUNTRIES",
        &[
            "us", "USA", "US,XX", "US;DE", "US,", "001", "+1", "ALL", "US,all",
        ],
    );
    let line = stopped_with(None, &[("SMS_COUNTRIES", "KE, XX ,DE")]);
    assert!(line.ends_with("not \"XX\""), "{line}");
}

#[test]
fn the_daily_limit_is_a_number() {
    all_stop("SMS_DAILY_LIMIT", &["-1", "many", "4294967296", "1,000"]);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let wrong = [
        "proxy",
        "10.0.0.0/33",
        "10.0.0",
        "10.0.0.1,",
        "none,10.0.0.1",
        "10.0.0.1:80",
    ];
    all_stop("TRUSTED_PROXIES", &wrong);
}

#[test]
fn metrics_are_told_at_an_address_and_port() {
    let wrong = ["9464", ":9464", "127.0.0.1", "localhost:9464", "::1:x"];
    all_stop("METRICS_ADDR", &wrong);
    let address = |value| config(&[("METRICS_ADDR", value)]).metrics_addr.unwrap();
    assert_eq!(address("127.0.0.1:9464").to_string(), "127.0.0.1:9464");
    assert_eq!(address("[::1]:9464").port(), 9464);
    assert_eq!(config(&[]).metrics_addr, None);
}

#[test]
fn the_log_format_is_text_or_json() {
    all_stop("LOG_FORMAT", &["JSON", "pretty"]);
}

#[test]
fn log_directives_can_be_read() {
    all_stop(
        "RUST_LOG",
        &["info,sqlx=loud", "=info,", "info,sqlx=", "a=b=c", ","],
    );
    // By spans: of that, nothing would ever be logged.
    all_stop(
        "RUST_LOG",
        &[
            "info,[request]=debug",
            "twostep[request{id}]=debug",
            "[request]",
        ],
    );
}

/// ASVS 13.3.1
#[test]
fn a_value_in_an_error_is_escaped_and_cut() {
    let line = stopped_with(None, &[("PORT", "1\n2\r\u{1b}[31m\u{2028}x")]);
    assert!(line.ends_with(r#""1\n2\r\u{1b}[31m\u{2028}x""#), "{line}");
    let line = stopped_with(None, &[("LOG_FORMAT", &"é".repeat(10_000))]);
    assert!(
        line.ends_with(&format!("not \"{}\"…", "é".repeat(80))),
        "{line}"
    );
}

#[cfg(unix)]
#[test]
fn a_value_is_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_twostep"))
        .env_clear()
        .env(
            "SMTP_URL",
            std::ffi::OsStr::from_bytes(b"smtp://hunter2\xff"),
        )
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(stderr, "twostep: SMTP_URL must be valid UTF-8\n");
}

// Half-given settings

#[test]
fn any_twilio_setting_needs_the_account() {
    for other in [
        ("TWILIO_AUTH_TOKEN", SECRET),
        ("TWILIO_API_KEY_SID", KEY),
        ("TWILIO_API_KEY_SECRET", SECRET),
        ("TWILIO_VERIFY_SERVICE_ID", SERVICE),
        ("TWILIO_VERIFY_ENROLL_SERVICE_ID", SERVICE),
        ("TWILIO_VERIFY_BASE_URL", "https://verify.twilio.com"),
    ] {
        let line = stopped_with(None, &[other, ("TWILIO_ACCOUNT_SID", "")]);
        assert_eq!(
            line,
            format!("TWILIO_ACCOUNT_SID must be set, because {} is", other.0)
        );
    }
}

#[test]
fn the_twilio_account_needs_a_service() {
    let line = stopped_with(None, &TWILIO[..2]);
    assert!(
        line.starts_with("TWILIO_VERIFY_SERVICE_ID must be set"),
        "{line}"
    );
    let enroll = ("TWILIO_VERIFY_ENROLL_SERVICE_ID", SERVICE);
    let line = stopped_with(None, &[TWILIO[0], TWILIO[1], enroll]);
    assert!(
        line.starts_with("TWILIO_VERIFY_SERVICE_ID must be set"),
        "{line}"
    );
}

#[test]
fn the_twilio_account_needs_a_token_or_a_key() {
    let line = stopped_with(None, &[TWILIO[0], TWILIO[2]]);
    assert!(
        line.starts_with("TWILIO_AUTH_TOKEN must be set, or TWILIO_API_KEY_SID"),
        "{line}"
    );
}

#[test]
fn an_api_key_needs_both_values_even_beside_a_token() {
    for token in ["", SECRET] {
        let others = [TWILIO[0], ("TWILIO_AUTH_TOKEN", token), TWILIO[2]];
        let line = stopped_with(
            None,
            &[&others[..], &[("TWILIO_API_KEY_SID", KEY)]].concat(),
        );
        assert!(
            line.starts_with("TWILIO_API_KEY_SECRET must be set"),
            "{line}"
        );
        let line = stopped_with(
            None,
            &[&others[..], &[("TWILIO_API_KEY_SECRET", SECRET)]].concat(),
        );
        assert!(line.starts_with("TWILIO_API_KEY_SID must be set"), "{line}");
    }
}

/// ASVS 13.2.3
#[test]
fn production_demands_what_development_stands_in_for() {
    config(&PRODUCTION);
    for (name, missing) in [
        ("BASE_URL", "BASE_URL"),
        ("SMTP_URL", "SMTP_URL"),
        ("SMS_COUNTRIES", "SMS_COUNTRIES"),
        ("TRUSTED_PROXIES", "TRUSTED_PROXIES"),
    ] {
        let line = stopped_with(None, &without(&PRODUCTION, name));
        assert!(
            line.starts_with(&format!("{missing} must be set")),
            "{line}"
        );
        assert!(line.ends_with("when APP_ENV is production"), "{line}");
    }
    let no_twilio: Vec<_> = PRODUCTION
        .into_iter()
        .filter(|(name, _)| !name.starts_with("TWILIO_"))
        .collect();
    let line = stopped_with(None, &no_twilio);
    assert!(
        line.starts_with("TWILIO_ACCOUNT_SID must be set when APP_ENV"),
        "{line}"
    );
}

/// ASVS 12.2.1
#[test]
fn production_demands_an_https_base_url() {
    let others = without(&PRODUCTION, "BASE_URL");
    all_stop_beside(
        &others,
        "BASE_URL",
        &["http://example.org", "http://localhost:3000"],
    );
}

// .env

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

// Accepted values

#[test]
fn nothing_needs_to_be_set() {
    let config = config(&[]);
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.host.to_string(), "127.0.0.1");
    assert_eq!(config.port, 3000);
    assert_eq!(config.base_url, None);
    assert_eq!(config.database_url.expose_secret(), "sqlite://twostep.db");
    assert!(config.twilio.is_none() && config.smtp_url.is_none() && config.sms_countries.is_none());
    assert_eq!(config.mail_from.name.as_deref(), Some("Twostep"));
    assert_eq!(config.mail_from.address.to_string(), "no-reply@localhost");
    assert_eq!(config.sms_daily_limit, 1000);
    assert!(config.trusted_proxies.is_empty());
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.rust_log.to_string(), "info");
}

#[test]
fn an_empty_or_blank_value_is_not_set() {
    for value in ["", "  ", "\t"] {
        let all: Vec<_> = SETTINGS.iter().map(|name| (*name, value)).collect();
        assert_eq!(format!("{:?}", config(&all)), format!("{:?}", config(&[])));
    }
    for name in ["SMS_COUNTRIES", "TRUSTED_PROXIES"] {
        let blank = [&without(&PRODUCTION, name)[..], &[(name, "")]].concat();
        assert!(Config::from_variables(&map(&blank)).is_err(), "{name}");
    }
}

#[test]
fn blanks_around_a_value_and_other_variables_do_not_count() {
    assert_eq!(
        config(&[("PORT", " 8080\r"), ("PATH", "/bin"), ("PROT", "x")]).port,
        8080
    );
}

#[test]
fn hosts_and_ports() {
    for (value, host) in [
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
        ("::", "::"),
    ] {
        assert_eq!(config(&[("HOST", value)]).host.to_string(), host);
    }
    for (value, port) in [("0", 0), ("65535", 65535)] {
        assert_eq!(config(&[("PORT", value)]).port, port);
    }
}

#[test]
fn links_are_built_on_the_base_url_or_the_port_in_use() {
    for (port, url) in [(3000, "http://localhost:3000/"), (80, "http://localhost/")] {
        assert_eq!(config(&[]).base_url_for(port).as_str(), url);
    }
    for value in ["https://example.org", "https://example.org/"] {
        let config = config(&[("BASE_URL", value)]);
        assert_eq!(config.base_url_for(3000).as_str(), "https://example.org/");
    }
}

#[test]
fn databases() {
    for (value, connection) in [
        ("sqlite://twostep.db", "sqlite://twostep.db?mode=rwc"),
        ("sqlite:data/app.db", "sqlite:data/app.db?mode=rwc"),
        (
            "sqlite:///srv/app.db?cache=private",
            "sqlite:///srv/app.db?cache=private&mode=rwc",
        ),
        ("sqlite:app.db?", "sqlite:app.db?mode=rwc"),
        ("sqlite:app.db?mode=rw", "sqlite:app.db?mode=rw"),
        (
            "sqlite:app.db?cache=private&mode=rwc",
            "sqlite:app.db?cache=private&mode=rwc",
        ),
        ("sqlite:mode=1.db", "sqlite:mode=1.db?mode=rwc"),
        (
            "postgres://u:hunter2@db:5432/app",
            "postgres://u:hunter2@db:5432/app",
        ),
        (
            "postgresql://db/app?sslmode=require",
            "postgresql://db/app?sslmode=require",
        ),
    ] {
        let config = config(&[("DATABASE_URL", value)]);
        assert_eq!(config.database_url.expose_secret(), value);
        assert_eq!(config.connection_url().expose_secret(), connection);
    }
}

#[test]
fn twilio_with_a_token() {
    let twilio = config(&TWILIO).twilio.unwrap();
    assert_eq!(twilio.username, ACCOUNT);
    assert_eq!(twilio.password.expose_secret(), SECRET);
    assert_eq!(
        (twilio.service.as_str(), twilio.enroll_service.as_str()),
        (SERVICE, SERVICE)
    );
    assert_eq!(twilio.base_url.as_str(), "https://verify.twilio.com/");
}

#[test]
fn twilio_with_a_key_which_wins_over_a_token() {
    let key = [
        ("TWILIO_API_KEY_SID", KEY),
        ("TWILIO_API_KEY_SECRET", "of the key"),
    ];
    for others in [&TWILIO[..], &[TWILIO[0], TWILIO[2]]] {
        let twilio = config(&[others, &key].concat()).twilio.unwrap();
        assert_eq!(twilio.username, KEY);
        assert_eq!(twilio.password.expose_secret(), "of the key");
    }
}

#[test]
fn twilio_with_a_second_service() {
    let second = "VAffffffffffffffffffffffffffffffff";
    let variables = [&TWILIO[..], &[("TWILIO_VERIFY_ENROLL_SERVICE_ID", second)]].concat();
    let twilio = config(&variables).twilio.unwrap();
    assert_eq!(
        (twilio.service.as_str(), twilio.enroll_service.as_str()),
        (SERVICE, second)
    );
}

#[test]
fn verify_may_be_reached_in_clear_on_this_machine_also_in_production() {
    for others in [&TWILIO[..], &PRODUCTION] {
        for url in [
            "http://localhost:8080/",
            "http://127.0.0.1:8080/",
            "http://127.1.2.3/",
            "http://[::1]:8080/",
            "https://verify.example.org/",
        ] {
            let variables = [others, &[("TWILIO_VERIFY_BASE_URL", url)]].concat();
            assert_eq!(config(&variables).twilio.unwrap().base_url.as_str(), url);
        }
    }
}

#[test]
fn mail() {
    for url in [
        "smtps://user:p%40ss@host:465",
        "smtp://localhost:1025",
        "smtp://[::1]",
    ] {
        let config = config(&[("SMTP_URL", url)]);
        assert_eq!(config.smtp_url.unwrap().expose_secret(), url);
    }
    for (value, name, address) in [
        ("a@example.org", None, "a@example.org"),
        ("<a@example.org>", None, "a@example.org"),
        (
            "Two Step <a@example.org>",
            Some("Two Step"),
            "a@example.org",
        ),
        (
            "\"Two, Step\" <a@example.org>",
            Some("Two, Step"),
            "a@example.org",
        ),
        (
            "Zwei Schritte übers Handy<a@example.org>",
            Some("Zwei Schritte übers Handy"),
            "a@example.org",
        ),
    ] {
        let sender = config(&[("MAIL_FROM", value)]).mail_from;
        assert_eq!(
            (sender.name.as_deref(), sender.address.to_string().as_str()),
            (name, address)
        );
    }
}

#[test]
fn countries_limits_and_logs() {
    let countries = config(&[("SMS_COUNTRIES", "US, KE,XK ,US")]).sms_countries;
    assert_eq!(
        countries,
        Some(BTreeSet::from(["KE", "US", "XK"].map(String::from)))
    );
    assert_eq!(config(&[("SMS_COUNTRIES", "all")]).sms_countries, None);
    assert_eq!(config(&[("SMS_DAILY_LIMIT", "0")]).sms_daily_limit, 0);
    assert_eq!(
        config(&[("LOG_FORMAT", "json")]).log_format,
        LogFormat::Json
    );
    let directives = "info, sqlx=warn,twostep[{id}]=debug,";
    assert_eq!(
        config(&[("RUST_LOG", directives)]).rust_log.to_string(),
        "twostep[{id}]=debug,sqlx=warn,info"
    );
}

#[test]
fn proxies() {
    let proxies = |value| {
        let networks = config(&[("TRUSTED_PROXIES", value)]).trusted_proxies;
        networks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(proxies("none").is_empty());
    assert_eq!(
        proxies("10.1.2.3/8, 192.0.2.1,::1,fd00::/8"),
        ["10.0.0.0/8", "192.0.2.1/32", "::1/128", "fd00::/8"]
    );
}

/// ASVS 13.3.1
#[test]
fn debug_shows_no_secret() {
    let variables = [
        &PRODUCTION[..],
        &[("DATABASE_URL", "postgres://u:hunter2@db/app")],
    ]
    .concat();
    let config = config(&variables);
    assert_eq!(config.environment, Environment::Production);
    assert!(
        config
            .smtp_url
            .as_ref()
            .unwrap()
            .expose_secret()
            .contains(SECRET)
    );
    assert!(!format!("{config:?} {config:#?}").contains(SECRET));
}
