use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Url, form_urlencoded};

use super::ConfigError;

/// Checks a database's URL and returns the one to connect with: SQLite creates a missing
/// file, unless the URL has a mode. Errors call it `name` and never show it, since it may
/// contain a password.
pub(super) fn parse(name: &'static str, value: &str) -> Result<SecretString, ConfigError> {
    let error = |problem| Err(ConfigError::new(name, problem));
    let Some(rest) = value.strip_prefix("sqlite:") else {
        if !value.starts_with("postgres:") && !value.starts_with("postgresql:") {
            return error("must begin with sqlite: or postgres:");
        }
        return match Url::parse(value) {
            Ok(url) if !url.cannot_be_a_base() => Ok(value.into()),
            _ => error("must be a URL such as postgres://user:password@host/database"),
        };
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent_decode_str(path.strip_prefix("//").unwrap_or(path)).decode_utf8_lossy();
    if path.is_empty() || path.contains(":memory:") || query.contains("mode=memory") {
        return error("must name a file: connections don't share a database in memory");
    }
    let mut query = form_urlencoded::parse(query.as_bytes());
    match query.find(|(name, _)| name == "mode") {
        Some((_, mode)) if matches!(&*mode, "rw" | "rwc") => Ok(value.into()),
        Some(_) => error("must have mode=rwc or mode=rw, or no mode"),
        None if value.ends_with('?') => Ok(format!("{value}mode=rwc").into()),
        None if value.contains('?') => Ok(format!("{value}&mode=rwc").into()),
        None => Ok(format!("{value}?mode=rwc").into()),
    }
}

/// Whether a database's URL is SQLite's, not PostgreSQL's.
pub fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}
