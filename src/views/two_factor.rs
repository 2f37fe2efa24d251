//! Switching the second step on and off, and entering a code.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use crate::forms::Errors;
use crate::models::challenge::{Challenge, Delivery, Purpose};

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

/// What is said of a number that Twilio or the settings do not let us send to.
pub const CANNOT_SEND_TO_NUMBER: &str = "We cannot send codes to this number.";

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
    /// Where to begin again, once no code is taken any more.
    pub begin_again: Option<&'static str>,
    /// What is wrong, by field.
    pub errors: Errors,
}

impl VerifyPage {
    /// The page of an open verification as it is at `now` (Unix seconds).
    #[must_use]
    pub fn new(layout: Layout, challenge: &Challenge, now: i64, errors: Errors) -> Self {
        let phone = masked(&challenge.phone);
        let delivery = match challenge.delivery {
            Delivery::Sms => format!("We texted a code to {phone}"),
            Delivery::Call => format!("We are calling {phone} with your code"),
            Delivery::Sending | Delivery::Unknown => {
                format!("A code is on its way to {phone}. It may take a moment.")
            }
            Delivery::Failed if challenge.purpose != Purpose::Enable => {
                "Codes cannot be sent at the moment. Try again, or use a recovery code.".to_owned()
            }
            other => not_delivered(other, challenge.wait(now)),
        };
        Self {
            layout,
            purpose: challenge.purpose,
            delivery,
            delivered: challenge.delivery.may_have_arrived(),
            begin_again: None,
            errors,
        }
    }

    /// The page of a verification that takes no more codes.
    #[must_use]
    pub fn exhausted(layout: Layout, challenge: &Challenge, sentence: &'static str) -> Self {
        let page = match challenge.purpose {
            Purpose::LogIn => "/login",
            Purpose::Enable => "/enable_2fa",
            Purpose::Reauth => "/reauth",
        };
        Self {
            layout,
            purpose: challenge.purpose,
            delivery: "That was the last try for this code.".to_owned(),
            delivered: false,
            begin_again: Some(page),
            errors: Errors::one("form", sentence),
        }
    }
}

/// Why no code went out, and what to do next. `wait`: seconds until another may
/// be asked for.
#[must_use]
pub fn not_delivered(delivery: Delivery, wait: i64) -> String {
    match delivery {
        Delivery::HeldBack if wait > 0 => {
            format!("A code was asked for a moment ago. You can ask for another in {wait} seconds.")
        }
        Delivery::HeldBack => "You can ask for a code now.".to_owned(),
        Delivery::TooMany => {
            "Too many codes were sent to this number. Try again in 10 minutes.".to_owned()
        }
        Delivery::Blocked | Delivery::InvalidNumber => CANNOT_SEND_TO_NUMBER.to_owned(),
        Delivery::Misconfigured => "Codes cannot be sent at the moment.".to_owned(),
        _ => "Codes cannot be sent at the moment. Try again.".to_owned(),
    }
}

/// A number as pages show it: its last three digits. The blank does not break.
#[must_use]
pub fn masked(phone: &str) -> String {
    let hidden = phone.chars().count().saturating_sub(3);
    let end: String = phone.chars().skip(hidden).collect();
    format!("\u{2022}\u{2022}\u{2022}\u{2022}\u{a0}{end}")
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
    /// The recovery codes in groups of four, shown this once.
    pub codes: Vec<SecretString>,
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
