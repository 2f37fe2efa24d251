//! The settings, and the only reader of the environment. The program reads them once, at
//! the start. A wrong or incomplete setting stops it with one line that names the setting.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use strum::EnumString;
use tracing_subscriber::filter::Targets;
use url::Url;

mod database_url;
mod environment;
mod error;
mod production;
mod secret_keys;
mod twilio;
mod values;

pub use database_url::is_sqlite;
pub use environment::Misspelling;
pub use error::ConfigError;
pub use twilio::{Twilio, is_sid};

use values::{Variables, parsed};

/// Every setting with its default, in the order of `.env.template`. "" is none.
pub const SETTINGS: [(&str, &str); 23] = [
    ("APP_ENV", "development"),
    ("HOST", "127.0.0.1"),
    ("PORT", "3000"),
    ("BASE_URL", ""), // http://localhost:{PORT}
    ("DATABASE_URL", "sqlite://twostep.db"),
    ("SECRET_KEY", ""), // in development twostep.key
    ("TWILIO_ACCOUNT_SID", ""),
    ("TWILIO_AUTH_TOKEN", ""),
    ("TWILIO_API_KEY_SID", ""),
    ("TWILIO_API_KEY_SECRET", ""),
    ("TWILIO_VERIFY_SERVICE_ID", ""),
    ("TWILIO_VERIFY_ENROLL_SERVICE_ID", ""),
    ("TWILIO_VERIFY_BASE_URL", "https://verify.twilio.com"),
    ("SMTP_URL", ""),
    ("MAIL_FROM", "Twostep <no-reply@localhost>"),
    ("SMS_COUNTRIES", "all"),
    ("SMS_DAILY_LIMIT", "1000"),
    ("REQUIRE_2FA", "off"),
    ("TRUST_DEVICE_DAYS", "30"),
    ("TRUSTED_PROXIES", "none"),
    ("METRICS_ADDR", ""),
    ("LOG_FORMAT", "text"),
    ("RUST_LOG", "info"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Environment {
    /// For a developer on one machine: demo phone, demo mailbox, `/dev/*`.
    Development,
    /// For the public: Twilio, SMTP, and `Secure` cookies.
    Production,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// Every setting, valid and typed. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// `APP_ENV`.
    pub environment: Environment,
    pub host: IpAddr,
    /// 0 takes a free one.
    pub port: u16,
    /// [`Config::base_url_for`] is the base of links.
    pub base_url: Option<Url>,
    /// As sqlx needs it: with a mode, or the `Any` driver creates no file.
    pub database_url: SecretString,
    /// `TWILIO_*`. `None` is the demo phone.
    pub twilio: Option<Twilio>,
    /// `None` is the demo mailbox.
    pub smtp_url: Option<SecretString>,
    pub mail_from: Mailbox,
    /// The regions that codes may be sent to. `None` means all.
    pub sms_countries: Option<BTreeSet<String>>,
    /// Codes that the whole service sends in a day.
    pub sms_daily_limit: u32,
    /// `REQUIRE_2FA`: whether every account needs a second factor.
    pub require_two_factor: bool,
    /// Days for which a trusted device needs no code. 0 is no trust.
    pub trust_device_days: u16,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Prometheus reads metrics there.
    pub metrics_addr: Option<SocketAddr>,
    pub log_format: LogFormat,
    pub rust_log: Targets,
    /// `SECRET_KEY`. [`Config::load_secret_keys`] also reads the file that replaces it.
    secret_keys: Option<Vec<SecretSlice<u8>>>,
    localhost: Url,
    /// Other users of the machine may read `.env`.
    is_env_file_exposed: bool,
    misspellings: Vec<Misspelling>,
}

impl Config {
    /// Reads the settings from the environment and from `.env` in the current folder. The
    /// environment wins.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let variables = environment::variables(SETTINGS.map(|(name, _)| name))?;
        let misspellings = environment::misspellings(&variables);
        let config = Self::from_variables(&variables).map_err(|error| {
            let mut misspellings = misspellings.iter();
            match misspellings.find(|it| it.setting == error.setting()) {
                Some(misspelling) => error.with_hint(&misspelling.found),
                None => error,
            }
        })?;
        Ok(Self {
            is_env_file_exposed: environment::is_file_exposed(),
            misspellings,
            ..config
        })
    }

    /// `DATABASE_URL` alone, for the operator's commands: an incomplete setting of Twilio must
    /// not keep the operator from locking an account.
    pub fn database_url_from_environment() -> Result<SecretString, ConfigError> {
        let variables = environment::variables(["DATABASE_URL"])?;
        database_url(&Variables(&variables))
    }

    /// Checks the URLs of two databases in a command's arguments, `FROM` and `TO`.
    pub fn sqlite_and_postgresql(
        from: &SecretString,
        to: &SecretString,
    ) -> Result<(SecretString, SecretString), ConfigError> {
        let parsed = database_url::parse("FROM", from.expose_secret())?;
        if !is_sqlite(parsed.expose_secret()) {
            let problem = "must be an SQLite database, such as sqlite://twostep.db";
            return Err(ConfigError::new("FROM", problem));
        }
        let target = database_url::parse("TO", to.expose_secret())?;
        if is_sqlite(target.expose_secret()) {
            let problem = "must be a PostgreSQL database, such as postgres://user@host/database";
            return Err(ConfigError::new("TO", problem));
        }
        Ok((parsed, target))
    }

    /// Reads the settings from variables by name. It trims values, treats an empty one as not
    /// set, and ignores other names.
    pub fn from_variables(variables: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let variables = Variables(variables);
        let base_url = variables.get("BASE_URL");
        let base_url = base_url.map(|value| values::origin("BASE_URL", value));
        let address = "an IP address and a port, such as 127.0.0.1:9464";
        let metrics_addr = variables.get("METRICS_ADDR");
        let metrics_addr = metrics_addr.map(|_| variables.parse("METRICS_ADDR", address, parsed));
        let sender = "an address such as Twostep <no-reply@example.org>";
        let directives = "log directives such as info,sqlx=warn";
        let config = Self {
            environment: variables.parse("APP_ENV", "development or production", parsed)?,
            host: variables.parse("HOST", "an IP address or localhost", values::host)?,
            port: variables.parse("PORT", "a number from 0 to 65535", parsed)?,
            base_url: base_url.transpose()?,
            database_url: database_url(&variables)?,
            secret_keys: variables
                .get("SECRET_KEY")
                .map(secret_keys::parse)
                .transpose()?,
            twilio: Twilio::parse(&variables)?,
            smtp_url: variables.get("SMTP_URL").map(smtp_url).transpose()?,
            mail_from: variables.parse("MAIL_FROM", sender, values::mailbox)?,
            sms_countries: values::regions(&variables, "SMS_COUNTRIES")?,
            sms_daily_limit: variables.parse(
                "SMS_DAILY_LIMIT",
                "a whole number from 0 to 4294967295",
                parsed,
            )?,
            require_two_factor: variables.parse("REQUIRE_2FA", "on or off", values::switch)?,
            trust_device_days: variables.parse(
                "TRUST_DEVICE_DAYS",
                "a whole number from 0 to 400",
                values::trust_days,
            )?,
            trusted_proxies: values::networks(&variables, "TRUSTED_PROXIES")?,
            metrics_addr: metrics_addr.transpose()?,
            log_format: variables.parse("LOG_FORMAT", "text or json", parsed)?,
            rust_log: variables.parse("RUST_LOG", directives, values::log_targets)?,
            localhost: values::origin("BASE_URL", "http://localhost")?,
            is_env_file_exposed: false,
            misspellings: Vec::new(),
        };
        if config.environment == Environment::Production {
            config.check_production(&variables)?;
        }
        Ok(config)
    }

    /// The base of links: `BASE_URL`, or `http://localhost:{port}` for the port that the
    /// server listens on.
    pub fn base_url_for(&self, port: u16) -> Url {
        self.base_url.clone().unwrap_or_else(|| {
            let mut url = self.localhost.clone();
            // Fails only for URLs without a host.
            let _ = url.set_port(Some(port));
            url
        })
    }
}

fn database_url(variables: &Variables<'_>) -> Result<SecretString, ConfigError> {
    let value = variables.get("DATABASE_URL").unwrap_or_default();
    database_url::parse("DATABASE_URL", value)
}

/// The URL of a mail server. Errors don't show it, since it may contain a password.
fn smtp_url(value: &str) -> Result<SecretString, ConfigError> {
    let is_smtp = |url: Url| {
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let has_half_a_login = url.username().is_empty() != url.password().is_none();
        let has_path = url.path().len() > 1 || url.query().or(url.fragment()).is_some();
        matches!(url.scheme(), "smtp" | "smtps") && has_host && !has_half_a_login && !has_path
    };
    if Url::parse(value).is_ok_and(is_smtp) {
        return Ok(value.into());
    }
    let problem = "must be a URL such as smtps://user:password@host:465 or smtp://localhost:1025";
    Err(ConfigError::new("SMTP_URL", problem))
}
