//! Who sent a request: the peer, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

/// The addresses that a request came by, each written by the next.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Adds [`ClientAddress`] to the request, where its peer is known.
pub fn find(trusted: &[IpNet], mut request: Request) -> Request {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = client_address(peer.ip(), request.headers(), trusted);
        request.extensions_mut().insert(ClientAddress(address));
    }
    request
}

/// Reads `X-Forwarded-For` from the right, for as long as each hop is a trusted
/// proxy (ASVS 15.3.4): what is further left, anybody may have written.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    let lines: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let hops = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(address) {
            break;
        }
        let Some(hop) = hop_address(hop) else { break };
        address = hop.to_canonical();
    }
    address
}

/// An address, with or without the port or the brackets that some proxies add.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let address = hop.strip_prefix('[')?.strip_suffix(']')?;
        address.parse().ok().map(IpAddr::V6)
    };
    let address = hop.parse().ok();
    address.or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// ASVS 4.1.3, 15.3.4
    #[test]
    fn nobody_is_believed_unless_trusted() {
        assert_eq!(found("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(
            found("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]),
            "203.0.113.9"
        );
    }

    /// ASVS 15.3.4
    #[test]
    fn a_trusted_proxy_is_believed_one_hop_at_a_time() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            found("10.0.0.1", &["198.51.100.1"], &trusted),
            "198.51.100.1"
        );
        assert_eq!(
            found("10.0.0.1", &["1.1.1.1, 198.51.100.1"], &trusted),
            "198.51.100.1"
        );
        assert_eq!(
            found("10.0.0.1", &["198.51.100.1, 10.0.0.2"], &trusted),
            "198.51.100.1"
        );
        assert_eq!(
            found("10.0.0.1", &["1.1.1.1", "198.51.100.1"], &trusted),
            "198.51.100.1"
        );
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            found("10.0.0.1", &["198.51.100.1, unknown"], &trusted),
            "10.0.0.1"
        );
        assert_eq!(found("10.0.0.1", &[""], &trusted), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_before_it_cannot_spoil_what_the_proxy_wrote() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "127.0.0.1".parse().unwrap());
        let line = HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap();
        headers.append("x-forwarded-for", line);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let address = client_address("10.0.0.1".parse().unwrap(), &headers, &trusted);
        assert_eq!(address.to_string(), "203.0.113.9");
    }

    #[test]
    fn a_hop_may_have_a_port() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            found("10.0.0.1", &["203.0.113.9:4711"], &trusted),
            "203.0.113.9"
        );
        assert_eq!(
            found("10.0.0.1", &["[2001:db8::1]:4711"], &trusted),
            "2001:db8::1"
        );
    }

    #[test]
    fn an_ipv6_hop_may_have_brackets_without_a_port() {
        let trusted = ["10.0.0.0/8"];
        let found = |hop| found("10.0.0.1", &[hop], &trusted);
        assert_eq!(found("[2001:db8::1]"), "2001:db8::1");
        assert_eq!(found("198.51.100.1, [2001:db8::1] "), "2001:db8::1");
        for broken in ["[203.0.113.9]", "[2001:db8::1", "2001:db8::1]", "[]"] {
            assert_eq!(found(broken), "10.0.0.1", "{broken}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(found("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
    }
}
