//! A wrong or incomplete setting is an error that names the setting.

use twostep::config::Config;

use super::{
    ACCOUNT, KEY, PRODUCTION, SECRET, SERVICE, TWILIO, config, error, map, program_stops, without,
};

/// Every setting of Twilio, all of them right.
const ALL_OF_TWILIO: [(&str, &str); 5] = [
    TWILIO[0],
    TWILIO[1],
    TWILIO[2],
    ("TWILIO_API_KEY_SID", KEY),
    ("TWILIO_API_KEY_SECRET", SECRET),
];

#[track_caller]
fn assert_all_wrong(others: &[(&str, &str)], setting: &str, values: &[&str]) {
    for value in values {
        let error = error(&[others, &[(setting, *value)]].concat());
        let start = format!("{setting} must ");
        assert!(error.starts_with(&start), "{setting}={value:?}: {error}");
    }
}

#[test]
fn wrong_values_are_errors_that_name_the_setting() {
    for (setting, values) in [
        ("APP_ENV", &["prod", "Production", "staging"] as &[&str]),
        ("HOST", &["example.org", "127.0.0", "127.0.0.1:80", "[::1]"]),
        ("PORT", &["-1", "65536", "http", "3000.5", "30 00"]),
        (
            "BASE_URL",
            &[
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
            ],
        ),
        (
            "DATABASE_URL",
            &[
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
            ],
        ),
        (
            "SECRET_KEY",
            &[
                SECRET,
                "aHVudGVyMg==",                                             // 7 bytes
                "aHVudGVyMiBhbmQgdHdlbnR5LWZvdXIgbW9yZSBieXRlcy4=",         // 35 bytes
                "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU",              // no padding
                "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmV=",             // an unused bit
                "61206b6579207468617420697320206e6f2073656372657420616e79", // hexadecimal
                "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=,",
                ",YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=",
                "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=,hunter2",
                "YSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=;hunter2",
            ],
        ),
        (
            "TWILIO_ACCOUNT_SID",
            &[
                SECRET,
                &ACCOUNT[..33],
                "AC0123456789abcdef0123456789abcdeg",
                SERVICE,
            ],
        ),
        ("TWILIO_VERIFY_SERVICE_ID", &[SECRET, ACCOUNT]),
        ("TWILIO_VERIFY_ENROLL_SERVICE_ID", &[SECRET, ACCOUNT]),
        ("TWILIO_API_KEY_SID", &[SECRET, ACCOUNT]),
        (
            "SMTP_URL",
            &[
                "mail.example.org",
                "smtp:hunter2",
                "smtps://",
                "smtps://user:hunter2@",
                "smtps://user@mail.example.org", // no password
                "smtps://:hunter2@mail.example.org",
                "smtps://mail.example.org/hunter2",
                "smtp://mail.example.org?tls=hunter2",
                "smtp://mail.example.org#hunter2",
                "https://user:hunter2@mail.example.org",
                "smtps://user:hunter2@mail.example.org:port",
            ],
        ),
        (
            "MAIL_FROM",
            &[
                "Twostep",
                "Twostep <>",
                "Twostep <no-reply>",
                "Twostep no-reply@example.org",
                "Twostep <a@example.org> <b@example.org>",
                "Two\"step <a@example.org>",
                "Twostep\r\nBcc: <b@example.org>",
                "\"a\r\nBcc: b\"@example.org",
                "Twostep <\"a\tb\"@example.org>",
            ],
        ),
        (
            "SMS_COUNTRIES",
            &[
                "us", "USA", "US,XX", "US;DE", "US,", "001", "+1", "ALL", "US,all",
            ],
        ),
        ("TRUST_DEVICE_DAYS", &["-1", "401", "1.5", "never"]),
        ("SMS_DAILY_LIMIT", &["-1", "many", "4294967296", "1,000"]),
        (
            "TRUSTED_PROXIES",
            &[
                "proxy",
                "10.0.0.0/33",
                "10.0.0",
                "10.0.0.1,",
                "none,10.0.0.1",
                "10.0.0.1:80",
            ],
        ),
        (
            "METRICS_ADDR",
            &["9464", ":9464", "127.0.0.1", "localhost:9464", "::1:x"],
        ),
        ("LOG_FORMAT", &["JSON", "pretty"]),
        (
            "RUST_LOG",
            &[
                "info,sqlx=loud",
                "=info,",
                "info,sqlx=",
                "a=b=c",
                ",",
                // For spans: these would never log anything.
                "info,[request]=debug",
                "twostep[request{id}]=debug",
                "[request]",
            ],
        ),
    ] {
        assert_all_wrong(&ALL_OF_TWILIO, setting, values);
    }
    let list = error(&[("SMS_COUNTRIES", "KE, XX ,DE")]);
    assert!(list.ends_with("not \"XX\""), "{list}");
}

/// ASVS 12.3.1
#[test]
fn twilio_is_reached_without_tls_on_this_machine_only() {
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
    assert_all_wrong(&TWILIO, "TWILIO_VERIFY_BASE_URL", &wrong);
}

/// ASVS 13.3.1
#[test]
fn an_error_escapes_and_cuts_the_value() {
    let line = error(&[("PORT", "1\n2\r\u{1b}[31m\u{2028}x")]);
    assert!(line.ends_with(r#""1\n2\r\u{1b}[31m\u{2028}x""#), "{line}");
    let line = error(&[("LOG_FORMAT", &"é".repeat(10_000))]);
    let cut = format!("not \"{}\"…", "é".repeat(80));
    assert!(line.ends_with(&cut), "{line}");
}

/// Only the driver knows a database's parameters.
#[test]
fn a_wrong_parameter_of_a_database_stops_the_start() {
    let url = "postgres://user:hunter2@127.0.0.1/app?sslmode=sometimes";
    let line = program_stops(None, &[("DATABASE_URL", url), ("PORT", "0")]);
    let start = "DATABASE_URL: the database cannot be opened: ";
    assert!(line.starts_with(start), "{line}");
    assert!(line.contains("ssl_mode"), "{line}");
}

#[test]
fn incomplete_settings_of_twilio_name_the_missing_one() {
    let [account, token, service] = TWILIO;
    let (key, secret) = (ALL_OF_TWILIO[3], ALL_OF_TWILIO[4]);
    let enroll = ("TWILIO_VERIFY_ENROLL_SERVICE_ID", SERVICE);
    let url = ("TWILIO_VERIFY_BASE_URL", "https://verify.twilio.com");
    for (settings, missing) in [
        (&[token] as &[_], "TWILIO_ACCOUNT_SID"),
        (&[key], "TWILIO_ACCOUNT_SID"),
        (&[secret], "TWILIO_ACCOUNT_SID"),
        (&[service], "TWILIO_ACCOUNT_SID"),
        (&[enroll], "TWILIO_ACCOUNT_SID"),
        (&[url], "TWILIO_ACCOUNT_SID"),
        (&[account, token], "TWILIO_VERIFY_SERVICE_ID"),
        (&[account, token, enroll], "TWILIO_VERIFY_SERVICE_ID"),
        (&[account, service], "TWILIO_AUTH_TOKEN"),
        (&[account, service, key], "TWILIO_API_KEY_SECRET"),
        (&[account, service, token, key], "TWILIO_API_KEY_SECRET"),
        (&[account, service, secret], "TWILIO_API_KEY_SID"),
        (&[account, service, token, secret], "TWILIO_API_KEY_SID"),
    ] {
        let error = error(settings);
        let start = format!("{missing} must be set, ");
        assert!(error.starts_with(&start), "{settings:?}: {error}");
        assert!(error.contains("because TWILIO_"), "{error}");
    }
}

/// ASVS 13.2.3
#[test]
fn production_requires_what_the_demo_replaces_in_development() {
    config(&PRODUCTION);
    for name in ["BASE_URL", "SMTP_URL", "SMS_COUNTRIES", "TRUSTED_PROXIES"] {
        for value in [None, Some((name, " "))] {
            let mut variables = without(&PRODUCTION, name);
            variables.extend(value);
            let error = error(&variables);
            let start = format!("{name} must be set");
            assert!(error.starts_with(&start), "{error}");
            assert!(error.ends_with("when APP_ENV is production"), "{error}");
        }
    }
    let mut no_twilio = map(&PRODUCTION);
    no_twilio.retain(|name, _| !name.starts_with("TWILIO_"));
    let error = Config::from_variables(&no_twilio).unwrap_err().to_string();
    let start = "TWILIO_ACCOUNT_SID must be set when APP_ENV";
    assert!(error.starts_with(start), "{error}");
}

/// ASVS 12.2.1
#[test]
fn production_requires_an_https_base_url() {
    let wrong = ["http://example.org", "http://localhost:3000"];
    assert_all_wrong(&PRODUCTION, "BASE_URL", &wrong);
}
