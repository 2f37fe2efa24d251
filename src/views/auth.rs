//! Registration, log-in, log-out, re-authentication.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use crate::forms::Errors;

/// `/register`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/register.html")]
pub struct RegisterPage {
    /// The frame.
    pub layout: Layout,
    /// As typed.
    pub username: String,
    /// As typed.
    pub email: String,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// `/login`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/login.html")]
pub struct LoginPage {
    /// The frame.
    pub layout: Layout,
    /// As typed.
    pub username: String,
    /// Where to go afterwards, already checked to be local.
    pub next: Option<String>,
    /// Whether a log-in waits for its code in this browser.
    pub half_done: bool,
    /// Whether the box is ticked.
    pub remember_me: bool,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// `/logout`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/logout.html")]
pub struct LogoutPage {
    /// The frame.
    pub layout: Layout,
}

/// `/reauth`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/reauth.html")]
pub struct ReauthPage {
    /// The frame.
    pub layout: Layout,
    /// Where to go afterwards, already checked to be local.
    pub next: Option<String>,
    /// What is wrong, by field.
    pub errors: Errors,
}
