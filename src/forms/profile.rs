//! Editing the profile.

use serde::Deserialize;

use crate::forms::{Errors, username};

const MAX_ABOUT_ME: usize = 140;

/// `POST /edit_profile`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EditProfileForm {
    pub username: String,
    pub about_me: String,
}

/// A valid profile.
#[derive(Debug)]
pub struct Profile {
    pub username: String,
    /// Its line ends are `\n`.
    pub about_me: String,
}

impl EditProfileForm {
    /// Validates every field. The current username is valid even if the rules have changed.
    pub fn parse(&self, current_username: &str) -> Result<Profile, Errors> {
        let mut errors = Errors::default();
        let username = if self.username.trim() == current_username {
            Some(current_username.to_owned())
        } else {
            errors.take("username", username::parse(&self.username))
        };
        // Browsers send a line end as two characters. It counts as one.
        let about_me = self.about_me.replace("\r\n", "\n").replace('\r', "\n");
        let about_me = about_me.trim();
        if about_me.chars().count() > MAX_ABOUT_ME {
            errors.add("about_me", format!("Use at most {MAX_ABOUT_ME} characters"));
        }
        if about_me
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
        {
            errors.add("about_me", "Remove the characters that can't be shown");
        }
        match username {
            Some(username) if errors.is_empty() => Ok(Profile {
                username,
                about_me: about_me.to_owned(),
            }),
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(about_me: &str) -> Result<String, Errors> {
        let form = EditProfileForm {
            username: "harry".into(),
            about_me: about_me.into(),
        };
        form.parse("harry").map(|profile| profile.about_me)
    }

    #[test]
    fn a_line_end_is_one_character() {
        assert_eq!(parsed("one\r\ntwo\rthree").unwrap(), "one\ntwo\nthree");
    }

    #[test]
    fn about_me_has_no_control_characters() {
        for text in ["a\0b", "a\u{1b}[31mb", "a\u{8}b", "a\u{7f}b", "a\u{85}b"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
        assert!(parsed("a\tb").is_ok());
    }
}
