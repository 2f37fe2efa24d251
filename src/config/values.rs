//! How single values are read.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use lettre::Address;
use phonenumber::metadata::DATABASE;
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

use super::error::quoted;
use super::{ConfigError, SETTINGS};

/// The variables handed in, of which an empty one counts as not set.
pub(super) struct Variables<'a>(pub(super) &'a HashMap<String, String>);

impl<'a> Variables<'a> {
    pub(super) fn get(&self, name: &'static str) -> Option<&'a str> {
        debug_assert!(SETTINGS.contains(&name), "{name} is not in SETTINGS");
        let value = self.0.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The value read by `read`, or the default. `expected` goes on from "must
    /// be"; the value is quoted, so this is not for secrets.
    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        default: T,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        read(value).ok_or_else(|| {
            ConfigError::new(name, format!("must be {expected}, not {}", quoted(value)))
        })
    }
}

/// The sender of the app's mails: `Twostep <no-reply@localhost>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name before the address, not yet encoded for a header.
    pub name: Option<String>,
    /// The address, valid for lettre.
    pub address: Address,
}

/// `Name <address>`, with or without quotes around the name, or an address alone.
pub(super) fn sender(value: &str) -> Option<Sender> {
    let (name, address) = match value.strip_suffix('>') {
        Some(value) => value.rsplit_once('<')?,
        None => ("", value),
    };
    let name = name.trim();
    let name = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
        .unwrap_or(name);
    // These would have to be escaped in a header, and a control character could begin one.
    let forbidden = |c: char| c.is_control() || matches!(c, '"' | '<' | '>' | '\\');
    if name.contains(forbidden) || address.contains(char::is_control) {
        return None;
    }
    Some(Sender {
        name: (!name.is_empty()).then(|| name.to_owned()),
        address: address.parse().ok()?,
    })
}

/// An IP address; `localhost` is 127.0.0.1.
pub(super) fn host(value: &str) -> Option<IpAddr> {
    match value {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => value.parse().ok(),
    }
}

/// Addresses and networks between commas, or `none`.
pub(super) fn networks(name: &'static str, value: &str) -> Result<Vec<IpNet>, ConfigError> {
    if value == "none" {
        return Ok(Vec::new());
    }
    let network = |entry: &str| {
        let network = entry.parse::<IpNet>().ok();
        network.or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from))
    };
    let read = |entry: &str| {
        network(entry.trim()).map(|network| network.trunc()).ok_or_else(|| {
            let problem = "must be none, or addresses and networks between commas, such as 10.0.0.0/8,::1; not";
            ConfigError::new(name, format!("{problem} {}", quoted(entry.trim())))
        })
    };
    value.split(',').map(read).collect()
}

/// Region codes between commas, each one known to libphonenumber; or `all`, which is `None`.
pub(super) fn regions(
    name: &'static str,
    value: &str,
) -> Result<Option<BTreeSet<String>>, ConfigError> {
    if value == "all" {
        return Ok(None);
    }
    let read = |code: &str| {
        let code = code.trim();
        // Its "001" stands for the codes of no country.
        if code.len() == 2 && DATABASE.by_id(code).is_some() {
            return Ok(code.to_owned());
        }
        let problem =
            "must be all, or region codes in capitals between commas, such as KE,US,DE; not";
        Err(ConfigError::new(
            name,
            format!("{problem} {}", quoted(code)),
        ))
    };
    value
        .split(',')
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The address of a server: scheme, host and port, nothing more. The value is
/// not quoted in errors, since it may hold a password where none belongs.
pub(super) fn origin(name: &'static str, value: &str) -> Result<Url, ConfigError> {
    let error = |problem: &str| ConfigError::new(name, problem);
    let url =
        Url::parse(value).map_err(|_| error("must be a URL such as https://login.example.org"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("must not hold a user name or password"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(error(
            "must end after the host and port, without a path, ? or #",
        ));
    }
    Ok(url)
}

/// Whether a URL leads to this very machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The directives of `RUST_LOG`: levels, and targets with or without one, or with fields of
/// events (`twostep[{id}]=debug`). Those that go by spans are refused, since `Targets` takes
/// them for targets that there are not: to look for them costs every request.
pub(super) fn log_targets(value: &str) -> Option<Targets> {
    let directives = value.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|it| !it.is_empty()).collect();
    let is_half = |it: &str| it.starts_with('=') || it.ends_with('=');
    let is_of_spans = |it: &str| it.contains('[') && !it.contains("[{");
    if directives.is_empty() || directives.iter().any(|it| is_half(it) || is_of_spans(it)) {
        return None;
    }
    directives.join(",").parse().ok()
}
