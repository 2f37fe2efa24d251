//! What a password may be, and the forms that change it. No rules of composition
//! (ASVS 6.2.5): what counts is its length and how soon somebody would guess it.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zxcvbn::feedback::Feedback;
use zxcvbn::{Entropy, Score, zxcvbn};

use crate::forms::{Errors, email};

/// Fewest characters (ASVS 6.2.1) and most.
const MIN: usize = 8;
const MAX: usize = 128;

/// The most that is even looked at, in bytes: 128 characters of UTF-8.
const MAX_BYTES: usize = 4 * MAX;

/// Characters that zxcvbn judges at a time, and how many such pieces. It raises 5
/// to the power of the turns of a zigzag on the keypad, which overflows beyond 28
/// characters, and takes long for what can be read as many words.
const PIECE: usize = 24;
const PIECES: usize = 2;

/// Words of this app, which a guesser tries first (ASVS 6.1.2).
const APP_WORDS: [&str; 3] = ["twostep", "twilio", "verify"];

/// Letters and digits that must be left of a password without the words above,
/// the name and the address.
const MIN_OWN_CHARACTERS: usize = 4;

/// `POST /change_password`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ChangeForm {
    /// As typed.
    pub current_password: SecretString,
    password: SecretString,
    confirm_password: SecretString,
}

impl ChangeForm {
    /// Checks the new password of the person who has that name and address.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn parse(&self, username: &str, email: &str) -> Result<SecretString, Errors> {
        let mut errors = Errors::default();
        let (new, confirmed) = (&self.password, &self.confirm_password);
        check_new(&mut errors, new, confirmed, Some((username, email)));
        if new.expose_secret() == self.current_password.expose_secret() {
            errors.add("password", "This is the password you have now");
        }
        errors.is_empty().then(|| new.clone()).ok_or(errors)
    }
}

/// `POST /reset_password_request`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetRequestForm {
    /// As typed.
    pub email: String,
}

impl ResetRequestForm {
    /// The address to look for. What could pass for one is looked for too, so
    /// that it gets the answer that everybody gets.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn parse(&self) -> Result<&str, Errors> {
        let address = self.email.trim();
        if email::is_plausible(address) {
            Ok(address)
        } else {
            Err(Errors::one("email", email::INVALID))
        }
    }
}

/// `POST /reset_password`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    password: SecretString,
    confirm_password: SecretString,
    link: Option<String>,
}

impl ResetForm {
    /// Whether the page that the form came from may have been about the link of that
    /// name: a program that fills the form by itself need not say.
    #[must_use]
    pub fn may_be_about(&self, link: &str) -> bool {
        self.link.as_ref().is_none_or(|named| named == link)
    }

    /// Checks the new password of the person who has that name and address.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn parse(&self, username: &str, email: &str) -> Result<SecretString, Errors> {
        let mut errors = Errors::default();
        let (new, confirmed) = (&self.password, &self.confirm_password);
        check_new(&mut errors, new, confirmed, Some((username, email)));
        errors.is_empty().then(|| new.clone()).ok_or(errors)
    }
}

/// Checks the fields `password` and `confirm_password` of any form; `own_words` as
/// for [`check`].
pub fn check_new(
    errors: &mut Errors,
    password: &SecretString,
    confirmed: &SecretString,
    own_words: Option<(&str, &str)>,
) {
    errors.take("password", check(password, own_words));
    if password.expose_secret() != confirmed.expose_secret() {
        errors.add("confirm_password", "The passwords do not match");
    }
}

/// Checks a password that somebody wants to have. `own_words` are the name and the
/// address, once they are valid: before that, only the length is judged, since the
/// rest takes a core for some tens of milliseconds.
///
/// # Errors
/// A sentence for the field that says why not.
pub fn check(
    password: &SecretString,
    own_words: Option<(&str, &str)>,
) -> Result<(), Cow<'static, str>> {
    let password = password.expose_secret();
    let length = password.chars().take(MAX_BYTES).count();
    if length < MIN {
        return Err(format!("Use at least {MIN} characters").into());
    }
    if length > MAX {
        return Err(format!("Use at most {MAX} characters").into());
    }
    let Some((username, email)) = own_words else {
        return Ok(());
    };
    let mailbox = email.split('@').next().unwrap_or_default();
    if holds_little_else(password, &[username, mailbox]) {
        return Err("This is too close to your name, your address or the name of this site".into());
    }
    match weakness(password, &[username, email, mailbox, "twostep"]) {
        Some(weakness) => Err(easy_to_guess(weakness.feedback())),
        None => Ok(()),
    }
}

/// What zxcvbn has against a password, piece by piece: a password is no easier
/// to guess than its best piece.
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

/// Whether a password is little more than the words that somebody who knows the
/// account would try (ASVS 6.2.11).
fn holds_little_else(password: &str, own_words: &[&str]) -> bool {
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
        check(&password.into(), Some(("alice", "alice.smith@example.com"))).map_err(Cow::into_owned)
    }

    #[test]
    fn a_password_has_8_to_128_characters() {
        assert_eq!(checked("xk7#qpz").unwrap_err(), "Use at least 8 characters");
        assert!(checked("xk7#qpzw").is_ok());
        let long = "correct horse battery staple ".repeat(5);
        assert!(checked(&long[..128]).is_ok());
        assert_eq!(
            checked(&long[..129]).unwrap_err(),
            "Use at most 128 characters"
        );
        let of_four_bytes: String = ('\u{1f400}'..).step_by(7).take(128).collect();
        assert!(checked(&of_four_bytes).is_ok());
        assert!(checked(&"\u{1f40e}".repeat(100_000)).is_err());
    }

    /// ASVS 6.2.5
    #[test]
    fn no_composition_is_asked_for() {
        for password in [
            "correct horse battery",
            "74839204718392",
            "\u{1f40e}\u{1f50b}\u{1f4ce}\u{2705} x y z",
        ] {
            assert!(checked(password).is_ok(), "{password}");
        }
    }

    #[test]
    fn what_is_easy_to_guess_is_refused_with_a_reason() {
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
    fn a_zigzag_on_the_keypad_is_judged_like_any_other() {
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
