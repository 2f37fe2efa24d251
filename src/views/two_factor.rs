//! Switching the second step on and off, and entering a code.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use super::{Timestamp, duration, exceeded, timestamp};
use crate::forms::Errors;
use crate::models::challenge::{Challenge, Delivery, Purpose, ResendStatus};
use crate::models::rate_limit::RateLimitExceeded;

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
    /// Where the code went, or why there is none to enter: one sentence.
    pub delivery: String,
    /// Whether there is one to enter.
    pub delivered: bool,
    /// When it went.
    pub sent: Option<Timestamp>,
    /// What may be asked for.
    pub next: Next,
    /// Where to begin again, once no code is taken any more.
    pub begin_again: Option<&'static str>,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// What may be asked for, and when.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// Another code.
    pub code: ResendStatus,
    /// A call with it.
    pub call: ResendStatus,
    /// Why no code is taken now, not even a right one.
    pub none_taken: Option<RateLimitExceeded>,
}

impl Next {
    /// Seconds until a code may be asked for; none where that is now, or never.
    pub fn wait(&self) -> Option<i64> {
        Some(self.code.wait()).filter(|seconds| *seconds > 0)
    }

    /// Whether a code may be asked for, now or after the wait.
    pub fn offers_code(&self) -> bool {
        self.code != ResendStatus::NoMoreCodes
    }

    /// Whether a call may be asked for at the same time as a code.
    pub fn offers_call(&self) -> bool {
        self.offers_code() && self.call == self.code
    }
}

impl VerifyPage {
    /// The page of an open verification as it is at `now` (Unix seconds).
    pub fn new(
        layout: Layout,
        challenge: &Challenge,
        next: Next,
        now: i64,
        errors: Errors,
    ) -> Self {
        let (phone, purpose) = (masked(&challenge.phone), challenge.purpose);
        let delivered = challenge.delivery.may_have_arrived() && next.none_taken.is_none();
        let delivery = match (next.none_taken, challenge.delivery) {
            (Some(too_many), _) => why_not(ResendStatus::Limited(too_many), purpose),
            (None, Delivery::Sms) => format!("We texted a code to {phone}"),
            (None, Delivery::Call) => format!("We are calling {phone} with your code"),
            (None, Delivery::Sending | Delivery::Unknown) => {
                format!("A code is on its way to {phone}. It may take a moment.")
            }
            (None, other) => not_delivered(other, next.code, purpose),
        };
        // A refusal for the reason that stands there anyway is not said twice.
        let errors = match errors.get("form") {
            Some(sentence) if sentence == delivery => Errors::default(),
            _ => errors,
        };
        // A code without its field: what is wrong with it stands on top.
        let errors = match errors.get("token") {
            Some(sentence) if !delivered => Errors::one("form", sentence.to_owned()),
            _ => errors,
        };
        let sent = challenge.last_sent_at.filter(|_| delivered);
        Self {
            layout,
            purpose,
            delivery,
            delivered,
            sent: sent.map(|at| timestamp(at, now)),
            next,
            begin_again: None,
            errors,
        }
    }

    /// The page of a verification that takes no more codes.
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
            sent: None,
            next: Next {
                code: ResendStatus::NoMoreCodes,
                call: ResendStatus::NoMoreCodes,
                none_taken: None,
            },
            begin_again: Some(page),
            errors: Errors::one("form", sentence),
        }
    }

    /// Seconds until a code may be asked for, where that is what `delivery` says.
    fn held_back_for(&self) -> Option<i64> {
        let says_so = self.delivery == why_not(self.next.code, self.purpose);
        self.next.wait().filter(|_| says_so)
    }

    /// Whether a recovery code does as well.
    fn takes_recovery_code(&self) -> bool {
        self.purpose != Purpose::Enable
    }
}

/// Why no code went out, and what to do next.
pub fn not_delivered(delivery: Delivery, another: ResendStatus, purpose: Purpose) -> String {
    match delivery {
        Delivery::HeldBack => why_not(another, purpose),
        Delivery::TooMany => {
            "Too many codes were sent to this number. Try again in 10 minutes.".to_owned()
        }
        Delivery::Blocked | Delivery::InvalidNumber => CANNOT_SEND_TO_NUMBER.to_owned(),
        Delivery::Misconfigured => "Codes cannot be sent at the moment.".to_owned(),
        _ => format!(
            "Codes cannot be sent at the moment. Try again{}.",
            or_recovery_code(purpose)
        ),
    }
}

/// Why none may be asked for now, and what to do next.
pub fn why_not(another: ResendStatus, purpose: Purpose) -> String {
    match another {
        ResendStatus::Now => "You can ask for a code now.".to_owned(),
        ResendStatus::NoMoreCodes => {
            "No more codes can be sent this time. Cancel and begin again.".to_owned()
        }
        ResendStatus::NoMoreCalls => {
            "We have called you once already. Ask for a text instead.".to_owned()
        }
        ResendStatus::Soon(seconds) => format!(
            "A code was asked for a moment ago. You can ask for another in {}.",
            duration(seconds)
        ),
        ResendStatus::Limited(too_many) => {
            let sentence = exceeded(too_many);
            let sentence = sentence.trim_end_matches('.');
            format!("{sentence}{}.", or_recovery_code(purpose))
        }
    }
}

const fn or_recovery_code(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::LogIn | Purpose::Reauth => ", or use a recovery code",
        Purpose::Enable => "",
    }
}

/// A number as pages show it: its last three digits. The blank does not break.
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
    /// The errors by field.
    pub errors: Errors,
}
