//! Registration, log-in, re-authentication.

use secrecy::SecretString;
use serde::Deserialize;

use crate::forms::local_path::LocalPath;
use crate::forms::{Errors, email, password, username};
use crate::models::user::NewUser;

/// `POST /register`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RegisterForm {
    /// As typed.
    pub username: String,
    /// As typed.
    pub email: String,
    password: SecretString,
    confirm_password: SecretString,
}

impl RegisterForm {
    /// Checks every field, but not the strength of the password.
    pub fn validate(&self) -> Result<NewUser, Errors> {
        let mut errors = Errors::default();
        let username = errors.take("username", username::parse(&self.username));
        let email = errors.take("email", email::parse(&self.email));
        password::check_fields(&mut errors, &self.password, &self.confirm_password);
        match (username, email) {
            (Some(username), Some(email)) if errors.is_empty() => Ok(NewUser {
                username,
                email,
                password: self.password.clone(),
            }),
            _ => Err(errors),
        }
    }
}

/// `POST /login`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LoginForm {
    /// As typed.
    pub username: String,
    /// As typed.
    pub password: SecretString,
    remember_me: String,
    next: String,
}

impl LoginForm {
    /// The name as it counts, whether anybody can be called that or not.
    pub fn typed_name(&self) -> &str {
        self.username.trim()
    }

    /// The name to look for: what nobody can be called is nobody.
    pub fn name(&self) -> &str {
        let name = self.typed_name();
        if username::is_wellformed(name) {
            name
        } else {
            ""
        }
    }

    /// Whether the log-in is to outlive the browser: any value does, but those
    /// that say no.
    pub fn remember_me(&self) -> bool {
        let value = self.remember_me.trim().to_ascii_lowercase();
        !["", "0", "false", "n", "off"].contains(&value.as_str())
    }

    /// Where to go afterwards.
    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }
}

/// `POST /reauth`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ReauthForm {
    /// As typed.
    pub password: SecretString,
    next: String,
}

impl ReauthForm {
    /// Where to go afterwards.
    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }
}

/// `?next=` of a page with a form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NextQuery {
    next: String,
}

impl NextQuery {
    /// Where to go afterwards.
    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }

    /// Whether the visitor was sent here from a page that asks for a log-in.
    pub fn has_next(&self) -> bool {
        !self.next.is_empty()
    }
}
