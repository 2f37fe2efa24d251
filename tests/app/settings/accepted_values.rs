//! Accepted values, and the defaults.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use twostep::config::{Environment, LogFormat, SETTINGS};

use super::{ACCOUNT, KEY, PRODUCTION, SECRET, SERVICE, TWILIO, config};

#[test]
fn every_setting_has_a_default() {
    let config = config(&[]);
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.host.to_string(), "127.0.0.1");
    assert_eq!(config.port, 3000);
    assert_eq!(config.base_url, None);
    let database_url = config.database_url.expose_secret();
    assert_eq!(database_url, "sqlite://twostep.db?mode=rwc");
    assert!(config.twilio.is_none() && config.smtp_url.is_none() && config.sms_countries.is_none());
    assert_eq!(config.mail_from.to_string(), "Twostep <no-reply@localhost>");
    assert_eq!(config.sms_daily_limit, 1000);
    assert_eq!(config.trust_device_days, 30);
    assert!(config.trusted_proxies.is_empty());
    assert_eq!(config.metrics_addr, None);
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.rust_log.to_string(), "info");
}

#[test]
fn an_empty_or_blank_value_is_not_set() {
    for value in ["", "  ", "\t"] {
        let all = SETTINGS.map(|(name, _)| (name, value)).to_vec();
        assert_eq!(format!("{:?}", config(&all)), format!("{:?}", config(&[])));
    }
}

#[test]
fn values_are_trimmed_and_other_variables_ignored() {
    let variables = [("PORT", " 8080\r"), ("PATH", "/bin"), ("PROT", "x")];
    assert_eq!(config(&variables).port, 8080);
}

#[test]
fn single_values_are_parsed() {
    for (name, value, expected) in [
        ("HOST", "localhost", "127.0.0.1"),
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("HOST", "::1", "::1"),
        ("HOST", "::", "::"),
        ("PORT", "0", "0"),
        ("PORT", "65535", "65535"),
        ("BASE_URL", "https://example.org", "https://example.org/"),
        ("BASE_URL", "https://example.org/", "https://example.org/"),
        ("METRICS_ADDR", "127.0.0.1:9464", "127.0.0.1:9464"),
        ("METRICS_ADDR", "[::1]:9464", "[::1]:9464"),
        ("SMS_DAILY_LIMIT", "0", "0"),
        ("TRUST_DEVICE_DAYS", "0", "0"),
        ("TRUST_DEVICE_DAYS", "400", "400"),
        ("LOG_FORMAT", "json", "Json"),
        (
            "RUST_LOG",
            "info, sqlx=warn,twostep[{id}]=debug,",
            "twostep[{id}]=debug,sqlx=warn,info",
        ),
    ] {
        let config = config(&[(name, value)]);
        let parsed = match name {
            "HOST" => config.host.to_string(),
            "PORT" => config.port.to_string(),
            "BASE_URL" => config.base_url_for(3000).to_string(),
            "METRICS_ADDR" => config.metrics_addr.unwrap().to_string(),
            "SMS_DAILY_LIMIT" => config.sms_daily_limit.to_string(),
            "TRUST_DEVICE_DAYS" => config.trust_device_days.to_string(),
            "LOG_FORMAT" => format!("{:?}", config.log_format),
            _ => config.rust_log.to_string(),
        };
        assert_eq!(parsed, expected, "{name}={value}");
    }
}

#[test]
fn links_follow_the_port_in_use_without_a_base_url() {
    for (port, url) in [(3000, "http://localhost:3000/"), (80, "http://localhost/")] {
        assert_eq!(config(&[]).base_url_for(port).as_str(), url);
    }
}

#[test]
fn a_sqlite_url_without_a_mode_creates_the_file() {
    for (value, expected) in [
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
        assert_eq!(config.database_url.expose_secret(), expected);
    }
}

#[test]
fn twilio_takes_a_token_or_a_key_and_one_or_two_services() {
    let key = [
        ("TWILIO_API_KEY_SID", KEY),
        ("TWILIO_API_KEY_SECRET", "of the key"),
    ];
    let second = "VAffffffffffffffffffffffffffffffff";
    let enroll = [("TWILIO_VERIFY_ENROLL_SERVICE_ID", second)];
    for (settings, login, enroll_service) in [
        (TWILIO.to_vec(), (ACCOUNT, SECRET), SERVICE),
        // A key wins over a token.
        ([&TWILIO[..], &key].concat(), (KEY, "of the key"), SERVICE),
        (
            [&[TWILIO[0], TWILIO[2]], &key[..]].concat(),
            (KEY, "of the key"),
            SERVICE,
        ),
        ([&TWILIO[..], &enroll].concat(), (ACCOUNT, SECRET), second),
    ] {
        let twilio = config(&settings).twilio.unwrap();
        let password = twilio.password.expose_secret();
        assert_eq!((twilio.username.as_str(), password), login, "{settings:?}");
        assert_eq!(twilio.service, SERVICE);
        assert_eq!(twilio.enroll_service, enroll_service, "{settings:?}");
        assert_eq!(twilio.base_url.as_str(), "https://verify.twilio.com/");
    }
}

#[test]
fn twilio_may_be_reached_without_tls_on_this_machine_also_in_production() {
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
fn mail_servers_and_senders_are_parsed() {
    for url in [
        "smtps://user:p%40ss@host:465",
        "smtp://localhost:1025",
        "smtp://[::1]",
    ] {
        let smtp_url = config(&[("SMTP_URL", url)]).smtp_url;
        assert_eq!(smtp_url.unwrap().expose_secret(), url);
    }
    for (value, name) in [
        ("a@example.org", None),
        ("<a@example.org>", None),
        ("Two Step <a@example.org>", Some("Two Step")),
        ("\"Two, Step\" <a@example.org>", Some("Two, Step")),
        (
            "Zwei Schritte übers Handy<a@example.org>",
            Some("Zwei Schritte übers Handy"),
        ),
    ] {
        let from = config(&[("MAIL_FROM", value)]).mail_from;
        assert_eq!(from.name.as_deref(), name, "{value}");
        assert_eq!(from.email.to_string(), "a@example.org", "{value}");
    }
}

#[test]
fn lists_are_parsed() {
    let countries = |value| config(&[("SMS_COUNTRIES", value)]).sms_countries;
    let expected = BTreeSet::from(["KE", "US", "XK"].map(String::from));
    assert_eq!(countries("US, KE,XK ,US"), Some(expected));
    assert_eq!(countries("all"), None);
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
    let others = [
        ("DATABASE_URL", "postgres://u:hunter2@db/app"),
        ("SECRET_KEY", "hunter2+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA="),
    ];
    let config = config(&[&PRODUCTION[..], &others].concat());
    let smtp_url = config.smtp_url.as_ref().unwrap().expose_secret();
    assert!(smtp_url.contains(SECRET));
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains(SECRET));
    assert!(!shown.contains("134, 233, 237"), "the bytes of the key");
}
