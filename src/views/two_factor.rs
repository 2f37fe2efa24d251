//! Enabling and disabling two-factor authentication, and entering a code.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::factors::{FactorItem, label};
use super::layout::Layout;
use super::{Timestamp, describe_exceeded, duration, timestamp};
use crate::forms::Errors;
use crate::models::challenge::{Challenge, Purpose, ResendStatus};
use crate::models::factor::Delivery;
use crate::models::rate_limit::RateLimitExceeded;

/// `/enable_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/enable.html")]
pub struct EnablePage {
    pub layout: Layout,
    pub verification_phone: String,
    /// The masked current number, if the user is changing it.
    pub current: Option<String>,
    /// Whether an authenticator app can be added instead.
    pub offers_apps: bool,
    pub errors: Errors,
}

/// The error for a number that Twilio or `SMS_COUNTRIES` refuses.
pub const CANNOT_SEND_TO_NUMBER: &str = "We cannot send codes to this number.";

/// `/verify_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/verify.html")]
pub struct VerifyPage {
    pub layout: Layout,
    pub purpose: Purpose,
    /// A sentence that says where the code went, or why none was sent.
    pub delivery: String,
    /// There is a code to enter.
    pub delivered: bool,
    pub sent: Option<Timestamp>,
    pub next: Next,
    /// The name of the authenticator app in use.
    pub app: Option<String>,
    /// The factors that the user may use instead.
    pub others: Vec<FactorItem>,
    /// The page to start again, if the challenge accepts no more codes.
    pub start_again: Option<&'static str>,
    /// Days for which the user may trust this device. 0 offers no trust.
    pub trust_days: u16,
    /// Whether the user has chosen it.
    pub trust_device: bool,
    pub errors: Errors,
}

/// The codes that the user can request next.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub code: ResendStatus,
    pub call: ResendStatus,
    /// The limit that blocks all codes, even correct ones.
    pub blocked: Option<RateLimitExceeded>,
}

impl Next {
    /// Seconds until the user can request a code. None if that is now, or never.
    pub fn wait(&self) -> Option<i64> {
        Some(self.code.wait()).filter(|seconds| *seconds > 0)
    }

    /// The user can request a code, now or after the wait.
    pub fn offers_code(&self) -> bool {
        self.code != ResendStatus::NoMoreCodes
    }

    /// The user can request a call at the same time as a code.
    pub fn offers_call(&self) -> bool {
        self.offers_code() && self.call == self.code
    }
}

impl VerifyPage {
    /// The page of an open challenge.
    pub fn new(
        layout: Layout,
        challenge: &Challenge,
        others: Vec<FactorItem>,
        next: Next,
        now: i64,
        errors: Errors,
    ) -> Self {
        let app = challenge
            .factor
            .as_ref()
            .filter(|it| it.phone_number().is_none());
        let app = app.map(label);
        let phone = mask_phone(challenge.phone().unwrap_or_default());
        let (purpose, delivery) = (challenge.purpose, challenge.delivery(now));
        let has_code = app.is_some() || delivery.may_have_arrived();
        let delivered = has_code && next.blocked.is_none();
        let delivery = match (next.blocked, delivery) {
            (None, _) if app.is_some() => {
                format!(
                    "Enter the code that {} shows.",
                    app.as_deref().unwrap_or_default()
                )
            }
            (Some(limit), _) => explain_resend_status(ResendStatus::Limited(limit), purpose),
            (None, Delivery::Sms) => format!("We texted a code to {phone}"),
            (None, Delivery::Call) => format!("We are calling {phone} with your code"),
            (None, Delivery::Sending | Delivery::Unknown) => {
                format!("A code is on its way to {phone}. It may take a moment.")
            }
            (None, other) => explain_failed_delivery(other, next.code, purpose),
        };
        // Don't repeat what `delivery` already says.
        let errors = match errors.get("form") {
            Some(sentence) if sentence == delivery => Errors::default(),
            _ => errors,
        };
        // Without a field for the code, its error goes to the top.
        let errors = match errors.get("token") {
            Some(sentence) if !delivered => Errors::one("form", sentence.to_owned()),
            _ => errors,
        };
        let sent = challenge
            .verification
            .as_ref()
            .filter(|_| delivered && app.is_none());
        Self {
            layout,
            purpose,
            delivery,
            delivered,
            sent: sent.map(|it| timestamp(it.last_sent_at, now)),
            next,
            app,
            others,
            start_again: None,
            trust_days: 0,
            trust_device: false,
            errors,
        }
    }

    /// The page of a challenge that accepts no more codes.
    pub fn exhausted(layout: Layout, challenge: &Challenge, sentence: &'static str) -> Self {
        let page = match challenge.purpose {
            Purpose::LogIn => "/login",
            Purpose::AddPhone => "/enable_2fa",
            Purpose::Reauth => "/reauth",
        };
        Self {
            layout,
            purpose: challenge.purpose,
            delivery: "That was your last try for this code.".to_owned(),
            delivered: false,
            sent: None,
            next: Next {
                code: ResendStatus::NoMoreCodes,
                call: ResendStatus::NoMoreCodes,
                blocked: None,
            },
            app: None,
            others: Vec::new(),
            start_again: Some(page),
            trust_days: 0,
            trust_device: false,
            errors: Errors::one("form", sentence),
        }
    }

    /// Seconds until the user can request a code, if `delivery` shows them.
    fn countdown(&self) -> Option<i64> {
        let is_shown = self.delivery == explain_resend_status(self.next.code, self.purpose);
        self.next.wait().filter(|_| is_shown)
    }

    fn accepts_recovery_code(&self) -> bool {
        self.purpose != Purpose::AddPhone
    }
}

/// Says why no code was sent, and what to do next.
pub fn explain_failed_delivery(
    delivery: Delivery,
    resend: ResendStatus,
    purpose: Purpose,
) -> String {
    match delivery {
        Delivery::HeldBack => explain_resend_status(resend, purpose),
        Delivery::TooMany => {
            "Too many codes were sent to this number. Try again in 10 minutes.".to_owned()
        }
        Delivery::FraudGuard | Delivery::Blocked | Delivery::InvalidNumber => {
            CANNOT_SEND_TO_NUMBER.to_owned()
        }
        Delivery::Misconfigured => "We can't send codes right now.".to_owned(),
        _ => format!(
            "We can't send codes right now. Try again{}.",
            or_recovery_code(purpose)
        ),
    }
}

/// Says why the user can't request a code now, and what to do next.
pub fn explain_resend_status(resend: ResendStatus, purpose: Purpose) -> String {
    match resend {
        ResendStatus::Now => "You can ask for a code now.".to_owned(),
        ResendStatus::NoMoreCodes => {
            "We can't send any more codes. Cancel and start again.".to_owned()
        }
        ResendStatus::NoMoreCalls => {
            "We already called you once. Ask for a text message instead.".to_owned()
        }
        ResendStatus::Soon(seconds) => format!(
            "You asked for a code a moment ago. You can ask for another in {}.",
            duration(seconds)
        ),
        ResendStatus::Limited(limit) => {
            let sentence = describe_exceeded(limit);
            let sentence = sentence.trim_end_matches('.');
            format!("{sentence}{}.", or_recovery_code(purpose))
        }
    }
}

const fn or_recovery_code(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::LogIn | Purpose::Reauth => ", or use a recovery code",
        Purpose::AddPhone => "",
    }
}

/// Shows the last three digits of a number, after a non-breaking space.
pub fn mask_phone(phone: &str) -> String {
    let hidden = phone.chars().count().saturating_sub(3);
    let end: String = phone.chars().skip(hidden).collect();
    format!("\u{2022}\u{2022}\u{2022}\u{2022}\u{a0}{end}")
}

/// The answer to the correct code when enabling.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/enabled.html")]
pub struct EnabledPage {
    pub layout: Layout,
    pub username: String,
    /// Recovery codes in groups of four. No other page shows them.
    pub codes: Vec<SecretString>,
}

/// `/disable_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/disable.html")]
pub struct DisablePage {
    pub layout: Layout,
    /// What is removed, within a sentence.
    pub factors: Vec<String>,
    pub errors: Errors,
}
