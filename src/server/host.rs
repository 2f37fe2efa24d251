//! Which host a request is for. Two that meet it on its way, and find no host or more
//! than one, might each believe another; so HTTP/1.1 has it refused (RFC 9112, 3.2).

use std::net::Ipv6Addr;

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version};

/// Whether a request says it once. In HTTP/1.0 it may leave it out.
pub(super) fn is_named(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    }
}

/// Whether it can be a host, with a port or without: what an address has between its
/// slashes, but for a user.
fn is_host(value: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(value.as_bytes()) else {
        return false;
    };
    let host = authority.host();
    let is_name = match host.strip_prefix('[') {
        Some(address) => address.trim_end_matches(']').parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains('['),
    };
    let port = authority.as_str().strip_prefix(host);
    is_name && port.is_some_and(|port| port.is_empty() || is_port(port))
}

/// Whether it is a colon, and the digits of a port or none.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits && (port.is_empty() || port.parse::<u16>().is_ok())
    })
}
