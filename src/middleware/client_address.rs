//! The address of a request's client: the peer, or what a trusted proxy reports.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client, as a request extension.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Adds [`ClientAddress`] to a request whose peer is known.
pub fn add(trusted: &[IpNet], mut request: Request) -> Request {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = client_address(peer.ip(), request.headers(), trusted);
        request.extensions_mut().insert(ClientAddress(address));
    }
    request
}

/// Reads `X-Forwarded-For` from the right, as long as each hop is a trusted proxy (ASVS
/// 15.3.4). The client may have forged entries further left.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(address) {
            break;
        }
        let Some(hop) = hop_address(hop) else { break };
        address = hop.to_canonical();
    }
    address
}

/// An address, possibly with the port or brackets that some proxies add.
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
    use axum::http::HeaderValue;

    use super::*;

    const TRUSTED: &[&str] = &["10.0.0.0/8"];

    fn found(peer: &str, lines: &[&[u8]], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// ASVS 4.1.3, 15.3.4
    #[test]
    fn only_trusted_proxies_are_believed_one_hop_at_a_time() {
        const NONE: &[&str] = &[];
        #[rustfmt::skip] // one line per case
        let cases = [
            ("203.0.113.9", &[&b"198.51.100.1"[..]][..], NONE, "203.0.113.9"),
            ("203.0.113.9", &[b"198.51.100.1"], TRUSTED, "203.0.113.9"),
            ("10.0.0.1", &[b"198.51.100.1"], TRUSTED, "198.51.100.1"),
            ("10.0.0.1", &[b"1.1.1.1, 198.51.100.1"], TRUSTED, "198.51.100.1"),
            ("10.0.0.1", &[b"198.51.100.1, 10.0.0.2"], TRUSTED, "198.51.100.1"),
            ("10.0.0.1", &[b"1.1.1.1", b"198.51.100.1"], TRUSTED, "198.51.100.1"),
            // A client's own invalid bytes don't hide what the proxy added.
            ("10.0.0.1", &[b"127.0.0.1", b"\xff, 203.0.113.9"], TRUSTED, "203.0.113.9"),
            ("::ffff:203.0.113.9", &[], NONE, "203.0.113.9"),
        ];
        for (peer, lines, trusted, expected) in cases {
            assert_eq!(found(peer, lines, trusted), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_hop_may_have_a_port_or_brackets_and_an_invalid_hop_ends_the_search() {
        for (line, expected) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("198.51.100.1, [2001:db8::1] ", "2001:db8::1"),
            ("198.51.100.1, unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("[203.0.113.9]", "10.0.0.1"),
            ("[2001:db8::1", "10.0.0.1"),
            ("2001:db8::1]", "10.0.0.1"),
            ("[]", "10.0.0.1"),
        ] {
            let found = found("10.0.0.1", &[line.as_bytes()], TRUSTED);
            assert_eq!(found, expected, "{line}");
        }
    }
}
