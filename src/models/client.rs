//! Where a request came from, as the owner of an account is told it.

use std::net::{IpAddr, Ipv6Addr};

/// Characters of what a browser calls itself that are kept.
const MAX_USER_AGENT: usize = 200;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The address.
    pub address: IpAddr,
    /// What the browser calls itself, or nothing.
    pub user_agent: String,
}

impl Client {
    /// Whom a limit by address counts: the address, or of IPv6 the network of 64
    /// bits, all of whose addresses one customer has, who may have more of them.
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => beginning(address, 64),
        }
    }

    /// The site of an IPv6 address, its first 48 bits: more than a line has (a /56, or
    /// a /48 at the most), and hardly more than one company. None for IPv4.
    pub fn site(&self) -> Option<String> {
        match self.address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(beginning(address, 48)),
        }
    }

    /// `user_agent` is anybody's text, and goes into mail: only printable ASCII
    /// is kept, of which honest ones consist, so that nothing in it ends a line,
    /// turns the direction of writing or cannot be seen.
    pub fn new(address: IpAddr, user_agent: &[u8]) -> Self {
        let printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
        let user_agent = user_agent.iter().filter(printable).take(MAX_USER_AGENT);
        Self {
            address,
            user_agent: user_agent.map(|byte| char::from(*byte)).collect(),
        }
    }
}

/// The first so many bits of an address, at least one.
fn beginning(address: Ipv6Addr, bits: u32) -> String {
    let mask = u128::MAX << (u128::BITS - bits);
    format!("{}/{bits}", Ipv6Addr::from(u128::from(address) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(user_agent: &[u8]) -> String {
        Client::new(IpAddr::from([127, 0, 0, 1]), user_agent).user_agent
    }

    /// ASVS 15.3.4
    #[test]
    fn an_address_counts_for_itself_and_of_ipv6_its_network() {
        let network = |address: &str| Client::new(address.parse().unwrap(), b"").network();
        assert_eq!(network("203.0.113.9"), "203.0.113.9");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2::"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:3::"), "2001:db8:1:3::/64");
        let site = |address: &str| Client::new(address.parse().unwrap(), b"").site();
        assert_eq!(site("203.0.113.9"), None);
        for inside in ["2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(site(inside).as_deref(), Some("2001:db8:1::/48"));
        }
        assert_eq!(site("2001:db8:2::").as_deref(), Some("2001:db8:2::/48"));
    }

    #[test]
    fn a_user_agent_is_cut_and_holds_nothing_that_cannot_be_seen() {
        let honest = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(kept(honest.as_bytes()), honest);
        assert_eq!(kept(b"a\r\nBcc: x\tb\0\x1b[1m\x7f"), "aBcc: xb[1m");
        assert_eq!(kept("a\u{202e}b\u{200b}\u{85}c\u{e9}".as_bytes()), "abc");
        assert_eq!(kept(b"\xff\xfe"), "");
        assert_eq!(kept(&[b'a'; 200]).len(), 200);
        assert_eq!(kept(&[b'a'; 201]).len(), 200);
    }
}
