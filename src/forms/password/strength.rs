//! How hard a password is to guess.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use zxcvbn::feedback::Feedback;
use zxcvbn::{Entropy, Score, zxcvbn};

use crate::forms::Errors;

/// Characters that zxcvbn rates at a time, and how many such pieces. It raises 5 to the
/// power of the turns of a zigzag on the keypad, which overflows beyond 28 characters. It
/// also takes long for a text that can be read as many words.
const PIECE: usize = 24;
const PIECES: usize = 2;

/// Words of this app, which an attacker tries first (ASVS 6.1.2).
const APP_WORDS: [&str; 3] = ["twostep", "twilio", "verify"];

/// Letters and digits that must be left of a password without the words above,
/// the name and the address.
const MIN_OWN_CHARACTERS: usize = 4;

/// Checks the strength of a password for the user with that name and email. It keeps a core
/// busy for tens of milliseconds.
pub fn check_strength(password: &SecretString, username: &str, email: &str) -> Result<(), Errors> {
    let password = password.expose_secret();
    let mailbox = email.split('@').next().unwrap_or_default();
    if resembles_user_inputs(password, &[username, mailbox]) {
        let sentence = "This is too close to your name, your address or the name of this site";
        return Err(Errors::one("password", sentence));
    }
    match weakness(password, &[username, email, mailbox, "twostep"]) {
        Some(weakness) => Err(Errors::one("password", easy_to_guess(weakness.feedback()))),
        None => Ok(()),
    }
}

/// Returns zxcvbn's rating of a weak password. It rates piece by piece, because a password
/// is at least as hard to guess as its best piece.
fn weakness(password: &str, own_words: &[&str]) -> Option<Entropy> {
    let characters: Vec<char> = password.chars().collect();
    let mut first = None;
    for piece in characters.chunks(PIECE).take(PIECES) {
        let piece: String = piece.iter().collect();
        let entropy = zxcvbn(&piece, own_words);
        if entropy.score() >= Score::Two {
            return None;
        }
        first.get_or_insert(entropy);
    }
    first
}

/// Whether a password is little more than the words that someone who knows the account
/// would try (ASVS 6.2.11).
fn resembles_user_inputs(password: &str, own_words: &[&str]) -> bool {
    let letters = |text: &str| -> String {
        text.to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect()
    };
    let mut rest = letters(password);
    let before = rest.len();
    let mut words: Vec<String> = own_words
        .iter()
        .chain(&APP_WORDS)
        .map(|word| letters(word))
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words.iter().filter(|word| word.chars().count() >= 3) {
        rest = rest.replace(word.as_str(), "");
    }
    rest.len() < before && rest.chars().count() < MIN_OWN_CHARACTERS
}

fn easy_to_guess(feedback: Option<&Feedback>) -> Cow<'static, str> {
    let mut sentence = String::from("This is easy to guess.");
    if let Some(warning) = feedback.and_then(Feedback::warning) {
        sentence.push_str(&format!(" {warning}"));
    }
    for suggestion in feedback.map(Feedback::suggestions).unwrap_or_default() {
        sentence.push_str(&format!(" {suggestion}"));
    }
    sentence.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(password: &str) -> Result<(), String> {
        let (username, email) = ("alice", "alice.smith@example.com");
        let checked = check_strength(&password.into(), username, email);
        checked.map_err(|errors| errors.get("password").unwrap().to_owned())
    }

    /// ASVS 6.2.5
    #[test]
    fn no_composition_is_asked_for() {
        for password in [
            "correct horse battery",
            "74839204718392",
            "\u{1f40e}\u{1f50b}\u{1f4ce}\u{2705} x y z",
            &('\u{1f400}'..).step_by(7).take(128).collect::<String>(),
        ] {
            assert!(checked(password).is_ok(), "{password}");
        }
    }

    #[test]
    fn an_easy_password_is_refused_with_a_reason() {
        for password in [
            "password1",
            "12345678",
            "qwertyuiop",
            "aaaaaaaa",
            "iloveyou1",
        ] {
            assert!(
                checked(password)
                    .unwrap_err()
                    .starts_with("This is easy to guess.")
            );
        }
    }

    #[test]
    fn a_zigzag_on_the_keypad_is_rated_like_any_other() {
        for length in [8, 24, 32, 128] {
            let zigzag: String = "1452".chars().cycle().take(length).collect();
            let _ = checked(&zigzag);
        }
    }

    #[test]
    fn a_long_password_is_as_good_as_its_best_piece() {
        assert!(checked(&"password".repeat(16)).is_err());
        assert!(checked(&"a".repeat(128)).is_err());
        assert!(checked(&format!("{}correct horse battery", "a".repeat(32))).is_ok());
    }

    /// ASVS 6.2.11
    #[test]
    fn the_persons_own_words_and_ours_are_not_enough() {
        for password in [
            "alicealicealice",
            "Alice-12!",
            "alice.smith99",
            "twilioverify123",
            "Twostep!Twostep",
            "twostepalice1",
        ] {
            assert!(checked(password).is_err(), "{password}");
        }
        assert!(checked("alice rides a green tram").is_ok());
    }
}
