//! Accepted values, and the defaults.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use twostep::config::{Config, Environment, LogFormat, SETTINGS};

use super::{ACCOUNT, KEY, PRODUCTION, SECRET, SERVICE, TWILIO, config, map, without};

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
