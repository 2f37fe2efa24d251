//! Where the settings come from: the environment, then `.env`.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;

use super::{ConfigError, SETTINGS};

const FILE: &str = ".env";

/// A variable that is probably a misspelled setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelling {
    pub found: String,
    pub setting: &'static str,
}

/// The variables of `.env`, and the settings `names` from the environment. The environment
/// wins, also with an empty value: `SMTP_URL= twostep` turns off what `.env` sets.
#[allow(clippy::disallowed_methods)] // the one place that reads the environment
pub(super) fn variables<const N: usize>(
    names: [&'static str; N],
) -> Result<HashMap<String, String>, ConfigError> {
    let mut variables = match fs::read_to_string(FILE) {
        Ok(text) => parse(&text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => HashMap::new(),
        Err(error) => return Err(ConfigError::new(FILE, format!("cannot be read: {error}"))),
    };
    for name in names {
        if let Some(value) = std::env::var_os(name) {
            let value = value.into_string();
            let value = value.map_err(|_| ConfigError::new(name, "must be valid UTF-8"))?;
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// Names in `.env` and in the environment that are almost a setting's.
#[allow(clippy::disallowed_methods)] // as above
pub(super) fn misspellings(variables: &HashMap<String, String>) -> Vec<Misspelling> {
    let environment = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = environment.chain(variables.keys().cloned()).collect();
    names.sort();
    names.dedup();
    let misspelling = |found: String| {
        let setting = similar_setting(&found)?;
        Some(Misspelling { found, setting })
    };
    names.into_iter().filter_map(misspelling).collect()
}

/// The setting that `name` was probably meant to be: one typing error for every five
/// characters. Names as short as `HOST` and `PORT` resemble too much.
fn similar_setting(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    let distance = |setting: &&str| strsim::osa_distance(&upper, setting);
    let names = SETTINGS.map(|(name, _)| name);
    let setting = names.into_iter().min_by_key(distance)?;
    let is_similar = distance(&setting) * 5 <= setting.len() && setting.len() >= 5;
    (is_similar && !names.contains(&name)).then_some(setting)
}

/// Whether other users of the machine may read `.env`. On Windows nothing checks it.
pub(super) fn is_file_exposed() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const READ_BY_OTHERS: u32 = 0o004;
        fs::metadata(FILE).is_ok_and(|it| it.permissions().mode() & READ_BY_OTHERS != 0)
    }
    #[cfg(not(unix))]
    false
}

/// Reads the text of a `.env`. The first of two lines with one name counts, as elsewhere
/// with dotenvy.
fn parse(text: &str) -> Result<HashMap<String, String>, ConfigError> {
    // Editors on Windows start a file with a byte-order mark.
    let text = text.trim_start_matches('\u{feff}');
    let mut variables = HashMap::new();
    for item in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = item.map_err(|error| line_error(text, &error))?;
        variables.entry(name).or_insert(value);
    }
    Ok(variables)
}

/// Names the first line of the mistake. dotenvy's own message would show the line, and
/// perhaps a password in it.
fn line_error(text: &str, error: &dotenvy::Error) -> ConfigError {
    let part = match error {
        dotenvy::Error::LineParse(part, _) => part.lines().next().unwrap_or_default().trim(),
        _ => "",
    };
    // dotenvy names the whole line, without a comment at its end, or only the value.
    let is_whole = |line: &str| {
        let rest = line.trim_start().strip_prefix(part).map(str::trim);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    let line = text.lines().position(is_whole);
    let line = line.or_else(|| text.lines().position(|line| line.contains(part)));
    let line = line.unwrap_or_default() + 1;
    let problem =
        format!("line {line} must be NAME=value, with quotes around a value of several words");
    ConfigError::new(FILE, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_misspellings_are_reported() {
        for (name, expected) in [
            ("TWILIO_ACOUNT_SID", Some("TWILIO_ACCOUNT_SID")),
            ("SMTP_ULR", Some("SMTP_URL")),
            ("Smtp_Url", Some("SMTP_URL")),
            ("DATABSE_URL", Some("DATABASE_URL")),
            (
                "TWILIO_VERIFY_SERVICE_SID",
                Some("TWILIO_VERIFY_SERVICE_ID"),
            ),
            ("TRUSTED_PROXY", Some("TRUSTED_PROXIES")),
            ("SMTP_URL", None),
        ] {
            assert_eq!(similar_setting(name), expected, "{name}");
        }
        let common = "APP_NAME BASH_ENV DATABASE_HOST HOME HOSTNAME HOSTS HTTP_PORT LOG_LEVEL \
            MAIL_HOST MAIL_FROM_NAME PATH PORTS POSTGRES_URL PROT RUST_BACKTRACE RUST_LOG_STYLE \
            RUST_LIB_BACKTRACE SMTP_FROM SMTP_HOST SMTP_PASSWORD SMTP_PORT SMTP_SSL SMTP_TLS \
            SMTP_USER TEST_DATABASE_URL TWILIO_API_KEY TWILIO_PHONE_NUMBER";
        for name in common.split_whitespace() {
            assert_eq!(similar_setting(name), None, "{name}");
        }
    }
}
