//! Clients: the networks that limits count, and user agents.

use std::net::IpAddr;

use twostep::models::client::Client;

fn kept(user_agent: &[u8]) -> String {
    Client::new(IpAddr::from([127, 0, 0, 1]), user_agent).user_agent
}

/// ASVS 15.3.4
#[test]
fn limits_count_an_ipv4_address_and_the_network_of_an_ipv6_address() {
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
fn a_user_agent_is_truncated_and_printable() {
    let honest = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    assert_eq!(kept(honest.as_bytes()), honest);
    assert_eq!(kept(b"a\r\nBcc: x\tb\0\x1b[1m\x7f"), "aBcc: xb[1m");
    assert_eq!(kept("a\u{202e}b\u{200b}\u{85}c\u{e9}".as_bytes()), "abc");
    assert_eq!(kept(b"\xff\xfe"), "");
    assert_eq!(kept(&[b'a'; 200]).len(), 200);
    assert_eq!(kept(&[b'a'; 201]).len(), 200);
}
