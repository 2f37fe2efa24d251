//! A wrong value stops the start with one line that names the setting.

use std::process::Command;

use super::{
    ACCOUNT, KEY, PRODUCTION, SECRET, SERVICE, TWILIO, WRONG_SETTING, all_stop, all_stop_beside,
    config, stopped_with, without,
};

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
    let unit = include_str!("../../../deploy/twostep.service");
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
