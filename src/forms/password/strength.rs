//! Password strength: how hard a password is to guess.

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

/// How many letters and digits a password must have besides the app's words, the username and
/// the email address.
const MIN_OWN_CHARACTERS: usize = 4;

/// Refuses a password that is easy to guess for the user with that name and email. It keeps a
/// core busy for tens of milliseconds.
pub fn check_strength(password: &SecretString, username: &str, email: &str) -> Result<(), Errors> {
    let password = password.expose_secret();
    let mailbox = email.split('@').next().unwrap_or_default();
    let reason = if resembles_user_inputs(password, &[username, mailbox]) {
        "This is too close to your name, your email or the name of this site".into()
    } else {
        match weakness(password, &[username, email, mailbox, "twostep"]) {
            Some(weakness) => easy_to_guess(weakness.feedback()),
            None => return Ok(()),
        }
    };
    Err(Errors::one("password", reason))
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
        check_strength(&password.into(), "alice", "alice.smith@example.com")
            .map_err(|errors| errors.get("password").unwrap().to_owned())
    }

    /// ASVS 6.2.5
    #[test]
    fn there_are_no_composition_rules() {
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
    fn zigzags_on_the_keypad_do_not_overflow_the_rating() {
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
    fn passwords_of_little_but_the_users_and_the_apps_words_are_refused() {
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
