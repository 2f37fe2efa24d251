//! Enabling and disabling two-factor authentication, and entering a code.

use askama::Template;
use askama_web::WebTemplate;

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

/// The alert after fraud guard blocked the code of a login.
const BLOCKED_BY_FRAUD_GUARD: &str = "The code was blocked to protect your number from fraud. If you are logging in, press \u{201c}Send it anyway\u{201d}, or use a recovery code.";

/// The advice after a wrong code of an authenticator app.
pub const CHECK_CLOCK: &str =
    "Check that the clock of your phone is right, and enter the code that the app shows now.";

/// Seconds for which Twilio sends no code to a number that got too many.
pub const TOO_MANY_WAIT: i64 = 600;

/// `/verify_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/verify.html")]
pub struct VerifyPage {
    pub layout: Layout,
    pub purpose: Purpose,
    /// Says where the code went, or why none was sent.
    pub delivery: Explanation,
    /// There is a code to enter.
    pub delivered: bool,
    pub sent: Option<Timestamp>,
    pub next: Next,
    /// The name of the authenticator app in use.
    pub app: Option<String>,
    /// The factors that the user may use instead.
    pub others: Vec<FactorItem>,
    /// Days for which the user may trust this device. 0 offers no trust.
    pub trust_days: u16,
    /// Whether the user has chosen it.
    pub trust_device: bool,
    /// What to check after a wrong code.
    pub advice: String,
    /// Fraud guard blocked the code, and the next one is sent anyway.
    pub is_blocked_by_fraud_guard: bool,
    /// The whole number, while it is being added.
    pub new_number: Option<String>,
    pub errors: Errors,
}

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub sentence: String,
    /// The seconds of the wait that the sentence names.
    pub wait: Option<i64>,
}

impl Explanation {
    fn without_wait(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            wait: None,
        }
    }

    pub fn into_errors(self) -> Errors {
        Errors::one("form", self.sentence).with_wait(self.wait)
    }
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
        let app = challenge.factor.as_ref().filter(|it| it.is_app());
        let app = app.map(label);
        let (purpose, delivery) = (challenge.purpose, challenge.delivery(now));
        let number = challenge.phone().unwrap_or_default();
        let new_number = (purpose == Purpose::AddPhone).then(|| number.to_owned());
        let phone = new_number.clone().unwrap_or_else(|| mask_phone(number));
        let has_code = app.is_some() || delivery.may_have_arrived();
        let delivered = has_code && next.blocked.is_none();
        let is_blocked_by_fraud_guard =
            delivery == Delivery::FraudGuard && challenge.overrides_fraud_guard();
        let explain = |sentence: String| Explanation::without_wait(sentence);
        let delivery = match (next.blocked, delivery) {
            (None, _) if app.is_some() => explain(format!(
                "Enter the code that {} shows.",
                app.as_deref().unwrap_or_default()
            )),
            (Some(limit), _) => explain_resend_status(ResendStatus::Limited(limit), purpose),
            (None, Delivery::Sms) => explain(format!("We texted a code to {phone}")),
            (None, Delivery::Call) => explain(format!("We are calling {phone} with your code")),
            (None, Delivery::Sending | Delivery::Unknown) => explain(format!(
                "A code is on its way to {phone}. It may take a moment."
            )),
            (None, _) if is_blocked_by_fraud_guard => explain(BLOCKED_BY_FRAUD_GUARD.to_owned()),
            (None, other) => explain_failed_delivery(other, next.code, purpose),
        };
        // Don't repeat what `delivery` already says.
        let errors = match errors.get("form") {
            Some(sentence) if sentence == delivery.sentence => Errors::default(),
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
            trust_days: 0,
            trust_device: false,
            advice: String::new(),
            is_blocked_by_fraud_guard,
            new_number,
            errors,
        }
    }

    /// What the alert says once its wait is over.
    const fn end_of_wait(&self) -> &'static str {
        match self.next.blocked {
            Some(_) => "You can try again now. Reload the page.",
            None => "You can ask for a code now.",
        }
    }

    /// Seconds until the user can request a code, if no other sentence says them.
    fn unexplained_wait(&self) -> Option<i64> {
        let is_shown = self.delivery.wait.is_some() || self.next.blocked.is_some();
        self.next.wait().filter(|_| !is_shown)
    }

    const fn send_label(&self) -> &'static str {
        match (self.delivered, self.is_blocked_by_fraud_guard) {
            (true, _) => "Send again",
            (false, true) => "Send it anyway",
            (false, false) => "Send a code",
        }
    }

    fn accepts_recovery_code(&self) -> bool {
        self.purpose != Purpose::AddPhone
    }
}

/// Says what to check after a wrong code, and how many tries are left.
pub fn advise_after_wrong_code(challenge: &Challenge, left: i64, now: i64) -> String {
    let is_app = challenge.factor.is_some() && challenge.phone().is_none();
    let advice = match challenge.delivery(now) {
        _ if is_app => CHECK_CLOCK,
        Delivery::Call => "Check the code of the newest call.",
        _ => "Check the newest message. Older codes may no longer work.",
    };
    let tries = match left {
        1 => "You have one try left.".to_owned(),
        more => format!("You have {more} tries left."),
    };
    format!("{advice} {tries}")
}

/// `/verify_2fa` after the last try, which closed the challenge.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/exhausted.html")]
pub struct ExhaustedPage {
    pub layout: Layout,
    pub sentence: String,
    /// The page to begin again.
    pub begin_again: String,
    /// The page to begin again with a recovery code.
    pub use_recovery_code: Option<String>,
}

impl ExhaustedPage {
    /// `sentence` says what was wrong with the last code.
    pub fn new(layout: Layout, challenge: &Challenge, sentence: &str) -> Self {
        let page = match challenge.purpose {
            Purpose::LogIn => "/login",
            Purpose::AddPhone => "/enable_2fa",
            Purpose::Reauth => "/reauth",
        };
        let link = |pairs: &[(&str, &str)]| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            let query = query.extend_pairs(pairs).finish();
            let question = if query.is_empty() { "" } else { "?" };
            format!("{page}{question}{query}")
        };
        let next = challenge.next.as_deref().map(|next| ("next", next));
        let next: Vec<_> = next.into_iter().collect();
        let with_code = [&[("recovery", "1")], &next[..]].concat();
        let sentence = sentence.trim_end_matches('.');
        Self {
            layout,
            sentence: format!("{sentence}. That was your last try for this code."),
            begin_again: link(&next),
            use_recovery_code: (challenge.purpose != Purpose::AddPhone).then(|| link(&with_code)),
        }
    }
}

/// Says why no code was sent, and what to do next.
pub fn explain_failed_delivery(
    delivery: Delivery,
    resend: ResendStatus,
    purpose: Purpose,
) -> Explanation {
    let explain = Explanation::without_wait;
    match delivery {
        Delivery::HeldBack => explain_resend_status(resend, purpose),
        Delivery::TooMany => Explanation {
            sentence: format!(
                "Too many codes were sent to this number. Try again in {}.",
                duration(TOO_MANY_WAIT)
            ),
            wait: Some(TOO_MANY_WAIT),
        },
        Delivery::FraudGuard | Delivery::Blocked | Delivery::InvalidNumber => {
            explain(CANNOT_SEND_TO_NUMBER)
        }
        Delivery::Misconfigured => explain("We can't send codes right now."),
        _ => Explanation::without_wait(format!(
            "We can't send codes right now. Try again{}.",
            or_recovery_code(purpose)
        )),
    }
}

/// Says why the user can't request a code now, and what to do next.
pub fn explain_resend_status(resend: ResendStatus, purpose: Purpose) -> Explanation {
    let sentence = match resend {
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
    };
    Explanation {
        sentence,
        wait: Some(resend.wait()).filter(|seconds| *seconds > 0),
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
