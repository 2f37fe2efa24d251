//! Switching the second step on and off, and entering a code.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use crate::forms::Errors;

/// `/enable_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/enable.html")]
pub struct EnablePage {
    /// The frame.
    pub layout: Layout,
    /// As typed.
    pub verification_phone: String,
    /// The masked number in use, when it is being changed.
    pub current: Option<String>,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// What a code is entered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The second half of a log-in.
    LogIn,
    /// A phone that is being added or changed.
    Enable,
    /// The second half of a re-authentication.
    Reauth,
}

/// `/verify_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/verify.html")]
pub struct VerifyPage {
    /// The frame.
    pub layout: Layout,
    /// What the code is for.
    pub purpose: Purpose,
    /// Where the code went, or why it did not: one sentence.
    pub delivery: String,
    /// Whether it went.
    pub delivered: bool,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// The answer to the right code while enabling.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/enabled.html")]
pub struct EnabledPage {
    /// The frame.
    pub layout: Layout,
    /// Whose account it is.
    pub username: String,
    /// The number, `•••• 267`.
    pub masked_phone: String,
}

/// `/disable_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/disable.html")]
pub struct DisablePage {
    /// The frame.
    pub layout: Layout,
    /// The number, `•••• 267`.
    pub masked_phone: String,
}
