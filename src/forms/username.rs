//! The rules for usernames.

use std::borrow::Cow;

/// The minimum and maximum length.
const MIN: usize = 2;
const MAX: usize = 32;

/// The error for a name that is reserved, or that another account has or had.
pub const TAKEN: &str = "Please use a different username";

/// Names that look like the site's own.
const RESERVED: [&str; 24] = [
    "abuse",
    "account",
    "admin",
    "administrator",
    "api",
    "help",
    "helpdesk",
    "hostmaster",
    "info",
    "mail",
    "moderator",
    "noreply",
    "no-reply",
    "official",
    "operator",
    "postmaster",
    "root",
    "security",
    "staff",
    "support",
    "system",
    "team",
    "twostep",
    "webmaster",
];

/// A well-formed name has 2 to 32 of `A-Z a-z 0-9 . _ -`, and starts and ends with a letter
/// or digit. Only ASCII, because other letters can look the same.
pub fn is_wellformed(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    (MIN..=MAX).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// Validates a new name and returns it trimmed.
pub fn parse(typed: &str) -> Result<String, Cow<'static, str>> {
    let name = typed.trim();
    if !is_wellformed(name) {
        return Err(
            "Use 2 to 32 letters, digits, dots, dashes or underscores, with a letter or a \
                    digit at both ends"
                .into(),
        );
    }
    if RESERVED.iter().any(|word| resembles(name, word)) {
        return Err(TAKEN.into());
    }
    Ok(name.to_owned())
}

/// A name resembles a word in any case, with punctuation anywhere, with digits in place of
/// letters (`r00t`) or at its end (`support24`).
fn resembles(name: &str, word: &str) -> bool {
    let mut rest = name.bytes().filter(u8::is_ascii_alphanumeric);
    let letters = word.bytes().filter(u8::is_ascii_alphanumeric);
    letters
        .into_iter()
        .all(|letter| rest.next().is_some_and(|byte| looks_like(byte, letter)))
        && rest.all(|byte| byte.is_ascii_digit())
}

fn looks_like(byte: u8, letter: u8) -> bool {
    match byte {
        b'0' => letter == b'o',
        b'1' => matches!(letter, b'i' | b'l'),
        b'3' => letter == b'e',
        b'4' => letter == b'a',
        b'5' => letter == b's',
        _ => byte.eq_ignore_ascii_case(&letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_2_to_32_letters_digits_and_punctuation_marks() {
        let longest = "a".repeat(32);
        for name in ["al", "Harry", "a1", "1a", "a.b_c-d", longest.as_str()] {
            assert_eq!(parse(name).unwrap(), name);
        }
        let too_long = "a".repeat(33);
        for name in [
            "",
            "a",
            ".a",
            "a.",
            "-ab",
            "ab-",
            "_ab",
            "a b",
            "a/b",
            "a@b",
            "h\u{e9}l",
            "\u{430}dam",
            "a\u{200b}b",
            "a\0b",
            "..",
            too_long.as_str(),
        ] {
            assert!(parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_that_resemble_reserved_ones_are_refused() {
        let refused = "admin Admin ROOT Support twostep no-reply noreply a.d.m-in \
            adm1n 4dmin 4DM1N r00t R0-0t 5upport h3lp he1p 0ff1c1a1 5y5t3m t34m \
            support1 support2026 tw0step99 Admin.007 root_0";
        for name in refused.split_whitespace() {
            assert_eq!(parse(name).unwrap_err(), TAKEN, "{name}");
        }
        let accepted = "admiral admira1 rooty r00ty 1admin supporter1 2root teams steam \
            harry1 ann5 infos helper mailer2";
        for name in accepted.split_whitespace() {
            assert!(parse(name).is_ok(), "{name}");
        }
    }
}
