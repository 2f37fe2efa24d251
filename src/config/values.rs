//! Parsers of single values.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use lettre::message::Mailbox;
use phonenumber::metadata::DATABASE;
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

use super::error::quoted;
use super::{ConfigError, SETTINGS};

/// The variables by name. An empty or blank one counts as not set.
pub(super) struct Variables<'a>(pub(super) &'a HashMap<String, String>);

impl<'a> Variables<'a> {
    pub(super) fn is_set(&self, name: &'static str) -> bool {
        self.0.get(name).is_some_and(|it| !it.trim().is_empty())
    }

    /// The value or the default, if there is one.
    pub(super) fn get(&self, name: &'static str) -> Option<&'a str> {
        let found = SETTINGS.into_iter().find(|(setting, _)| *setting == name);
        debug_assert!(found.is_some(), "{name} is not in SETTINGS");
        let (_, default) = found?;
        let value = self.0.get(name).map(|it| it.trim());
        let value = value.filter(|it| !it.is_empty()).unwrap_or(default);
        (!value.is_empty()).then_some(value)
    }

    /// Parses a setting. `expected` continues "must be". Errors quote the value, so this is
    /// not for secrets.
    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        parse_value(name, self.get(name).unwrap_or_default(), expected, parse)
    }

    /// Parses a setting with values between commas.
    fn parse_list<T, List: FromIterator<T>>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<List, ConfigError> {
        let values = self.get(name).unwrap_or_default().split(',');
        let values = values.map(|value| parse_value(name, value.trim(), expected, &parse));
        values.collect()
    }
}

/// A setting that is on or off.
pub(super) fn switch(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn parse_value<T>(
    name: &'static str,
    value: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    let problem = || format!("must be {expected}, not {}", quoted(value));
    parse(value).ok_or_else(|| ConfigError::new(name, problem()))
}

pub(super) fn parsed<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

/// Days of trust in a device. Its cookie lives no longer.
pub(super) fn trust_days(value: &str) -> Option<u16> {
    value.parse().ok().filter(|days| *days <= 400)
}

/// An IP address, or `localhost`.
pub(super) fn host(value: &str) -> Option<IpAddr> {
    match value {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => value.parse().ok(),
    }
}

/// An address with or without a name. Quoted local parts may contain control characters.
pub(super) fn mailbox(value: &str) -> Option<Mailbox> {
    let is_plain = !value.contains(char::is_control);
    is_plain.then(|| value.parse().ok()).flatten()
}

/// Addresses and networks, or `none`.
pub(super) fn networks(
    variables: &Variables<'_>,
    name: &'static str,
) -> Result<Vec<IpNet>, ConfigError> {
    if variables.get(name) == Some("none") {
        return Ok(Vec::new());
    }
    let expected = "none, or addresses and networks between commas, such as 10.0.0.0/8,::1";
    variables.parse_list(name, expected, |entry| {
        let address = || parsed::<IpAddr>(entry).map(IpNet::from);
        Some(parsed::<IpNet>(entry).or_else(address)?.trunc())
    })
}

/// Region codes, or `all`, which is `None`.
pub(super) fn regions(
    variables: &Variables<'_>,
    name: &'static str,
) -> Result<Option<BTreeSet<String>>, ConfigError> {
    if variables.get(name) == Some("all") {
        return Ok(None);
    }
    let expected = "all, or region codes in capitals between commas, such as KE,US,DE";
    let codes = variables.parse_list(name, expected, |code| {
        // libphonenumber's "001" belongs to no country.
        let is_region = code.len() == 2 && DATABASE.by_id(code).is_some();
        is_region.then(|| code.to_owned())
    });
    codes.map(Some)
}

/// The URL of a server: scheme, host and port only. Errors don't quote the value, since it
/// may contain a password by mistake.
pub(super) fn origin(name: &'static str, value: &str) -> Result<Url, ConfigError> {
    let error = |problem: &str| Err(ConfigError::new(name, problem));
    let Ok(url) = Url::parse(value) else {
        return error("must be a URL such as https://login.example.org");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return error("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return error("must not contain a user name or password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return error("must end after the host and port, without a path, ? or #");
    }
    Ok(url)
}

/// Whether a URL points to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The directives of `RUST_LOG`: levels, targets, and fields of events
/// (`twostep[{id}]=debug`). Directives for spans are refused: `Targets` would take them for
/// targets that don't exist, and would then look at every request.
pub(super) fn log_targets(value: &str) -> Option<Targets> {
    let directives = value.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|it| !it.is_empty()).collect();
    let is_half = |it: &str| it.starts_with('=') || it.ends_with('=');
    let is_for_spans = |it: &str| it.contains('[') && !it.contains("[{");
    if directives.is_empty() || directives.iter().any(|it| is_half(it) || is_for_spans(it)) {
        return None;
    }
    directives.join(",").parse().ok()
}
