use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::ConfigError;

/// Checks a database's URL, which is never shown since it may hold a password.
/// `name` is what errors call it.
///
/// # Errors
/// It is neither SQLite's nor PostgreSQL's, or an SQLite database that does not
/// outlive a connection or cannot be written: sessions are shared by a pool.
pub(super) fn read(name: &'static str, value: &str) -> Result<SecretString, ConfigError> {
    let error = |problem| Err(ConfigError::new(name, problem));
    let Some(rest) = value.strip_prefix("sqlite:") else {
        let postgres = value.starts_with("postgres:") || value.starts_with("postgresql:");
        if !postgres {
            return error("must begin with sqlite: or postgres:");
        }
        return match Url::parse(value) {
            Ok(url) if !url.cannot_be_a_base() => Ok(value.into()),
            _ => error("must be a URL such as postgres://user:password@host/database"),
        };
    };
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent_decode_str(path.strip_prefix("//").unwrap_or(path)).decode_utf8_lossy();
    if path.is_empty() || path.contains(":memory:") || parameters.contains("mode=memory") {
        return error("must name a file: a database in memory is not shared by connections");
    }
    match mode(parameters) {
        None => Ok(value.into()),
        Some(mode) if matches!(mode.as_str(), "rw" | "rwc") => Ok(value.into()),
        Some(_) => error("must have mode=rwc or mode=rw, or no mode"),
    }
}

/// Whether a database's URL names one of SQLite's, and not one of PostgreSQL's.
pub fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Checks the URL of a database that must be one engine's; `expected` goes on from "must
/// be".
pub(super) fn of_engine(
    name: &'static str,
    url: &SecretString,
    is_of_engine: impl FnOnce(&str) -> bool,
    expected: &str,
) -> Result<SecretString, ConfigError> {
    let url = read(name, url.expose_secret())?;
    if is_of_engine(url.expose_secret()) {
        return Ok(url);
    }
    Err(ConfigError::new(name, format!("must be {expected}")))
}

/// The URL with which to connect: SQLite is told to create a missing file unless
/// the URL names a mode of its own.
pub(super) fn creating(url: &SecretString) -> SecretString {
    let value = url.expose_secret();
    let parameters = value.split_once('?').map(|(_, parameters)| parameters);
    if !is_sqlite(value) || parameters.and_then(mode).is_some() {
        return url.clone();
    }
    let separator = match parameters {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    format!("{value}{separator}mode=rwc").into()
}

fn mode(parameters: &str) -> Option<String> {
    form_urlencoded::parse(parameters.as_bytes())
        .find(|(name, _)| name == "mode")
        .map(|(_, mode)| mode.into_owned())
}
