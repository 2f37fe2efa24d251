//! The rules for email addresses.

use std::borrow::Cow;

use lettre::Address;
use validator::ValidateEmail;

/// The longest address (RFC 5321, 4.5.3.1.3, without the angle brackets).
const MAX: usize = 254;

/// The error for an invalid address.
pub const INVALID: &str = "Enter a valid email address";

/// Whether a trimmed text resembles an address. No account has any other.
pub fn is_plausible(text: &str) -> bool {
    let has_two_sides = text
        .split_once('@')
        .is_some_and(|(mailbox, host)| !mailbox.is_empty() && !host.is_empty());
    has_two_sides && text.len() <= MAX && !text.contains(|c: char| c.is_control() || c == ' ')
}

/// Validates an address and trims it. Each of the two validators alone accepts invalid ones.
pub fn parse(typed: &str) -> Result<String, Cow<'static, str>> {
    let address = typed.trim();
    let valid =
        address.len() <= MAX && address.validate_email() && address.parse::<Address>().is_ok();
    if valid {
        Ok(address.to_owned())
    } else {
        Err(INVALID.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_address_is_trimmed() {
        for address in [
            "harry@example.com",
            "Harry+Spam@Example.co.uk",
            "o'neil@example.org",
        ] {
            assert_eq!(parse(&format!(" {address} ")).unwrap(), address);
        }
    }

    #[test]
    fn text_on_both_sides_of_an_at_sign_is_plausible() {
        for address in [
            "harry@example.com",
            "harry@localhost",
            "a@b@c",
            "h\u{e4}rry@example..com",
        ] {
            assert!(is_plausible(address), "{address}");
        }
        let long = format!("{}@example.com", "a".repeat(243));
        for other in [
            "", "harry", "@", "harry@", "@x", "a b@x", "a\0@x", "a@x\n", &long,
        ] {
            assert!(!is_plausible(other), "{other:?}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let long = format!("{}@example.com", "a".repeat(243));
        for address in [
            "",
            "harry",
            "harry@",
            "@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a@example.com\r\nBcc: x@example.com",
            "a@exa mple.com",
            "a@-example.com",
            "\"a b\"@example.com",
            "a@example..com",
            "a\0@example.com",
            "<a@example.com>",
            long.as_str(),
        ] {
            assert!(parse(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn an_address_has_at_most_254_characters() {
        let local = "b".repeat(64); // the longest local part
        let address = |first: usize| {
            let (label, rest) = ("a".repeat(first), "a".repeat(61));
            format!("{local}@{label}.{rest}.{rest}.com")
        };
        assert_eq!(address(61).len(), 254);
        assert!(parse(&address(61)).is_ok());
        assert!(parse(&address(62)).is_err());
    }
}
