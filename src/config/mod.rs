//! The settings, and the only reader of the environment. They are read once, at
//! the start; a wrong or half-given one stops it with one line that names it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use secrecy::SecretString;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

mod database_url;
mod environment;
mod error;
mod production;
mod twilio;
mod values;

pub use database_url::is_sqlite;
pub use error::ConfigError;
pub use twilio::Twilio;
pub use values::Sender;

use values::Variables;

/// The names of all settings, in the order of `.env.template`.
pub const SETTINGS: [&str; 20] = [
    "APP_ENV",
    "HOST",
    "PORT",
    "BASE_URL",
    "DATABASE_URL",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_API_KEY_SID",
    "TWILIO_API_KEY_SECRET",
    "TWILIO_VERIFY_SERVICE_ID",
    "TWILIO_VERIFY_ENROLL_SERVICE_ID",
    "TWILIO_VERIFY_BASE_URL",
    "SMTP_URL",
    "MAIL_FROM",
    "SMS_COUNTRIES",
    "SMS_DAILY_LIMIT",
    "TRUSTED_PROXIES",
    "METRICS_ADDR",
    "LOG_FORMAT",
    "RUST_LOG",
];

/// Who uses this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A developer, on one machine: demo phone, demo mailbox, `/dev/*`.
    Development,
    /// People: everything is real, and cookies are `Secure`.
    Production,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Every setting, valid and typed. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// `APP_ENV`.
    pub environment: Environment,
    /// `HOST`: the address to listen on.
    pub host: IpAddr,
    /// `PORT`: the port to listen on; 0 takes a free one.
    pub port: u16,
    /// `BASE_URL`, if said. Links are built with [`Config::base_url_for`].
    pub base_url: Option<Url>,
    /// `DATABASE_URL` as it was said. Connect with [`Config::connection_url`].
    pub database_url: SecretString,
    /// `TWILIO_*`; none is the demo phone.
    pub twilio: Option<Twilio>,
    /// `SMTP_URL`; none is the demo mailbox.
    pub smtp_url: Option<SecretString>,
    /// `MAIL_FROM`.
    pub mail_from: Sender,
    /// `SMS_COUNTRIES`: the only regions to which codes are sent; `None` means all.
    pub sms_countries: Option<BTreeSet<String>>,
    /// `SMS_DAILY_LIMIT`: codes sent a day by the whole service.
    pub sms_daily_limit: u32,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `METRICS_ADDR`: where Prometheus asks; none is off.
    pub metrics_addr: Option<SocketAddr>,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`: what is logged of which part of the program, from which level on.
    pub rust_log: Targets,
    localhost: Url,
    /// Other users of the machine may read `.env`.
    is_env_file_exposed: bool,
}

impl Config {
    /// Reads the settings from the environment and `.env` in the current folder,
    /// over which the environment wins.
    ///
    /// # Errors
    /// What [`Config::from_variables`] refuses, and a `.env` that cannot be read.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Ok(Self {
            is_env_file_exposed: environment::is_file_exposed(),
            ..Self::from_variables(&environment::variables(&SETTINGS)?)?
        })
    }

    /// [`Config::connection_url`] without the other settings, for the operator's
    /// commands: they need nothing else, and half a setting of Twilio's must not
    /// keep anybody from locking an account.
    pub fn connection_url_from_environment() -> Result<SecretString, ConfigError> {
        let variables = environment::variables(&["DATABASE_URL"])?;
        let url = database_url(&Variables(&variables))?;
        Ok(database_url::creating(&url))
    }

    /// The URL of an SQLite database that a command is given; errors call it `name`.
    pub fn sqlite_url(name: &'static str, url: &SecretString) -> Result<SecretString, ConfigError> {
        let expected = "an SQLite database, such as sqlite://twostep.db";
        database_url::of_engine(name, url, is_sqlite, expected)
    }

    /// The same for a database of PostgreSQL's.
    pub fn postgresql_url(
        name: &'static str,
        url: &SecretString,
    ) -> Result<SecretString, ConfigError> {
        let expected = "a database of PostgreSQL's, such as postgres://user@host/database";
        database_url::of_engine(name, url, |url| !is_sqlite(url), expected)
    }

    /// Reads the settings from variables by name. Blanks around a value do not
    /// count, an empty one is not set, and other names are ignored.
    ///
    /// # Errors
    /// The first setting that is wrong, is missing beside another one, or is
    /// missing in production.
    pub fn from_variables(variables: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let variables = Variables(variables);
        let base_url = variables.get("BASE_URL");
        let smtp_url = variables.get("SMTP_URL");
        let countries = variables.get("SMS_COUNTRIES");
        let proxies = variables.get("TRUSTED_PROXIES");
        let config = Self {
            environment: variables.parse(
                "APP_ENV",
                Environment::Development,
                "development or production",
                |value| match value {
                    "development" => Some(Environment::Development),
                    "production" => Some(Environment::Production),
                    _ => None,
                },
            )?,
            host: variables.parse(
                "HOST",
                Ipv4Addr::LOCALHOST.into(),
                "an IP address or localhost",
                values::host,
            )?,
            port: variables.parse("PORT", 3000, "a number from 0 to 65535", |value| {
                value.parse().ok()
            })?,
            base_url: base_url
                .map(|value| values::origin("BASE_URL", value))
                .transpose()?,
            database_url: database_url(&variables)?,
            twilio: Twilio::read(&variables)?,
            smtp_url: smtp_url.map(smtp).transpose()?,
            mail_from: mail_from(&variables)?,
            sms_countries: values::regions("SMS_COUNTRIES", countries.unwrap_or("all"))?,
            sms_daily_limit: variables.parse(
                "SMS_DAILY_LIMIT",
                1000,
                "a whole number from 0 to 4294967295",
                |value| value.parse().ok(),
            )?,
            trusted_proxies: values::networks("TRUSTED_PROXIES", proxies.unwrap_or("none"))?,
            metrics_addr: variables.parse(
                "METRICS_ADDR",
                None,
                "an IP address and a port, such as 127.0.0.1:9464",
                |value| value.parse().ok().map(Some),
            )?,
            log_format: variables.parse(
                "LOG_FORMAT",
                LogFormat::Text,
                "text or json",
                |value| match value {
                    "text" => Some(LogFormat::Text),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                },
            )?,
            rust_log: variables.parse(
                "RUST_LOG",
                Targets::new().with_default(LevelFilter::INFO),
                "log directives such as info,sqlx=warn",
                values::log_targets,
            )?,
            localhost: values::origin("BASE_URL", "http://localhost")?,
            is_env_file_exposed: false,
        };
        if config.environment == Environment::Production {
            config.check_production(&variables)?;
        }
        Ok(config)
    }

    /// The URL on which links are built, of a server that listens on `port`:
    /// `BASE_URL`, or `http://localhost:{port}` where it is not said.
    pub fn base_url_for(&self, port: u16) -> Url {
        self.base_url.clone().unwrap_or_else(|| {
            let mut url = self.localhost.clone();
            // Fails only for URLs without a host.
            let _ = url.set_port(Some(port));
            url
        })
    }

    /// `DATABASE_URL` as sqlx wants it: with `mode=rwc` for an SQLite URL that
    /// names no mode, because the `Any` driver creates no file without.
    pub fn connection_url(&self) -> SecretString {
        database_url::creating(&self.database_url)
    }
}

fn database_url(variables: &Variables<'_>) -> Result<SecretString, ConfigError> {
    let value = variables.get("DATABASE_URL");
    database_url::read("DATABASE_URL", value.unwrap_or("sqlite://twostep.db"))
}

/// A mail server's URL, never shown since it may hold a password.
fn smtp(value: &str) -> Result<SecretString, ConfigError> {
    let url = Url::parse(value).ok();
    let is_smtp = |url: &Url| {
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let half_given = url.username().is_empty() != url.password().is_none();
        let ends_there = matches!(url.path(), "" | "/") && url.query().or(url.fragment()).is_none();
        matches!(url.scheme(), "smtp" | "smtps") && has_host && !half_given && ends_there
    };
    if !url.as_ref().is_some_and(is_smtp) {
        let problem =
            "must be a URL such as smtps://user:password@host:465 or smtp://localhost:1025";
        return Err(ConfigError::new("SMTP_URL", problem));
    }
    Ok(value.into())
}

fn mail_from(variables: &Variables<'_>) -> Result<Sender, ConfigError> {
    const NAME: &str = "MAIL_FROM";
    let value = variables
        .get(NAME)
        .unwrap_or("Twostep <no-reply@localhost>");
    values::sender(value).ok_or_else(|| {
        let expected = "must be an address such as Twostep <no-reply@example.org>, not";
        ConfigError::new(NAME, format!("{expected} {}", error::quoted(value)))
    })
}
