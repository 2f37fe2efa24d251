//! Registration, login, reauthentication.

use secrecy::SecretString;
use serde::Deserialize;

use crate::forms::local_path::LocalPath;
use crate::forms::{Errors, email, is_checked, password, username};
use crate::models::user::NewUser;

/// `POST /register`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RegisterForm {
    pub username: String,
    pub email: String,
    password: SecretString,
    confirm_password: SecretString,
}

impl RegisterForm {
    /// Validates every field, except the strength of the password.
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
    pub username: String,
    pub password: SecretString,
    remember_me: String,
    next: String,
    recovery: String,
}

impl LoginForm {
    /// The name for rate limits, valid or not.
    pub fn typed_name(&self) -> &str {
        self.username.trim()
    }

    /// The name to look up. An invalid name is empty, so it matches no user.
    pub fn name(&self) -> &str {
        let name = self.typed_name();
        if username::is_wellformed(name) {
            name
        } else {
            ""
        }
    }

    /// Whether the session outlives the browser.
    pub fn remember_me(&self) -> bool {
        is_checked(&self.remember_me)
    }

    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }

    /// The user wants to enter a recovery code, so none is sent.
    pub fn with_recovery_code(&self) -> bool {
        !self.recovery.is_empty()
    }
}

/// `POST /reauth`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ReauthForm {
    pub password: SecretString,
    next: String,
    recovery: String,
}

impl ReauthForm {
    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }

    /// The user wants to enter a recovery code, so none is sent.
    pub fn with_recovery_code(&self) -> bool {
        !self.recovery.is_empty()
    }
}

/// `?next=` and `?recovery=` of a page with a form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NextQuery {
    next: String,
    recovery: String,
}

impl NextQuery {
    pub fn next(&self) -> Option<LocalPath> {
        LocalPath::received(&self.next)
    }

    /// The visitor was redirected from a page that requires a login.
    pub fn has_next(&self) -> bool {
        !self.next.is_empty()
    }

    /// The visitor wants to enter a recovery code after the password.
    pub fn with_recovery_code(&self) -> bool {
        !self.recovery.is_empty()
    }
}
