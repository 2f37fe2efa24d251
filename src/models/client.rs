//! The client of a request: its address and user agent.

use std::net::{IpAddr, Ipv6Addr};

/// Characters of a user agent that are kept.
const MAX_USER_AGENT: usize = 200;

#[derive(Debug, Clone)]
pub struct Client {
    pub address: IpAddr,
    /// The user agent, empty if there is none.
    pub user_agent: String,
}

impl Client {
    /// The subject of limits by client: an IPv4 address or an IPv6 /64, which belongs to one
    /// customer.
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => beginning(address, 64),
        }
    }

    /// The /48 of an IPv6 address. An internet connection gets a /56, or at most a /48. Two
    /// companies hardly ever share one. `None` for IPv4.
    pub fn site(&self) -> Option<String> {
        match self.address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(beginning(address, 48)),
        }
    }

    /// Keeps only printable ASCII of `user_agent`, since it is untrusted and goes into
    /// emails: no line ends, no changes of direction, nothing invisible. Real user agents
    /// consist of printable ASCII.
    pub fn new(address: IpAddr, user_agent: &[u8]) -> Self {
        let printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
        let user_agent = user_agent.iter().filter(printable).take(MAX_USER_AGENT);
        Self {
            address,
            user_agent: user_agent.map(|byte| char::from(*byte)).collect(),
        }
    }
}

/// The network of an address, of at least one bit.
fn beginning(address: Ipv6Addr, bits: u32) -> String {
    let mask = u128::MAX << (u128::BITS - bits);
    format!("{}/{bits}", Ipv6Addr::from(u128::from(address) & mask))
}
