//! The behavior of Twilio Verify, as its pages "Verification", "Verification Check" and "Rate
//! limits and timeouts" describe it. [`Verifications`] is one Verify service.

use std::collections::HashMap;
use std::io;

use data_encoding::HEXLOWER;

use crate::services::twilio_verify::Channel;

/// A landline: it refuses an SMS (60205) and takes a call.
pub const LANDLINE: &str = "+12025550110";
/// A number that Fraud Guard blocks (60410), except an SMS with `RiskCheck=disable`.
pub const BLOCKED: &str = "+12025550111";
/// A number that was sent too many codes (60203).
pub const TOO_MANY: &str = "+12025550112";
/// A number that neither an SMS nor a call reaches now (503).
pub const UNAVAILABLE: &str = "+12025550113";
/// A number that gets its code, but the client gets no answer.
pub const SILENT: &str = "+12025550114";

/// Seconds from the first send until a code expires.
const LIFETIME: i64 = 10 * 60;
/// Sends per verification.
const SENDS: usize = 5;
/// Wrong codes per verification.
const CHECKS: u32 = 5;

/// Whether a number (E.164) is one of the above, to which no limit applies.
pub fn is_demo_number(number: &str) -> bool {
    [LANDLINE, BLOCKED, TOO_MANY, UNAVAILABLE, SILENT].contains(&number)
}

/// The pending verifications, by number.
#[derive(Default)]
pub(super) struct Verifications(HashMap<String, Verification>);

#[derive(Clone)]
pub(super) struct Verification {
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) code: String,
    /// The channel of the latest send.
    pub(super) channel: Channel,
    /// `pending`, `approved` or `canceled`.
    pub(super) status: &'static str,
    pub(super) created_at: i64,
    pub(super) attempts: Vec<Attempt>,
    wrong_checks: u32,
}

/// One send of a code.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) sid: String,
    pub(super) channel: Channel,
    pub(super) at: i64,
}

/// How a check names its verification.
pub(super) enum Key {
    Sid(String),
    To(String),
}

/// One of Twilio's errors.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) message: &'static str,
}

impl Refusal {
    pub(super) const CREDENTIALS: Self = Self::new(401, 20003, "Authenticate");
    pub(super) const NOT_FOUND: Self =
        Self::new(404, 20404, "The requested resource was not found");
    pub(super) const PARAMETER: Self = Self::new(400, 60200, "Invalid parameter");
    pub(super) const LANDLINE: Self =
        Self::new(403, 60205, "SMS is not supported by landline phone number");
    const BLOCKED: Self = Self::new(403, 60410, "Verification delivery attempt blocked");
    const SENDS: Self = Self::new(429, 60203, "Max send attempts reached");
    const CHECKS: Self = Self::new(429, 60202, "Max check attempts reached");
    const UNAVAILABLE: Self = Self::new(503, 20503, "Service unavailable");
    const INTERNAL: Self = Self::new(500, 20500, "Internal server error");

    const fn new(status: u16, code: i64, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Self {
        Self::INTERNAL
    }
}

impl Verifications {
    /// Sends a code: the same one until it expires.
    pub(super) fn create(
        &mut self,
        to: &str,
        channel: &str,
        risk_check: Option<&str>,
        now: i64,
    ) -> Result<Verification, Refusal> {
        let channel = channel.parse().map_err(|_| Refusal::PARAMETER)?;
        let checks_risk = match risk_check {
            None | Some("enable") => true,
            Some("disable") => channel != Channel::Sms,
            Some(_) => return Err(Refusal::PARAMETER),
        };
        if !is_e164(to) {
            return Err(Refusal::PARAMETER);
        }
        match (to, channel) {
            (LANDLINE, Channel::Sms) => return Err(Refusal::LANDLINE),
            (BLOCKED, _) if checks_risk => return Err(Refusal::BLOCKED),
            (TOO_MANY, _) => return Err(Refusal::SENDS),
            (UNAVAILABLE, _) => return Err(Refusal::UNAVAILABLE),
            _ => {}
        }
        self.remove_expired(now);
        let attempt = Attempt {
            sid: random_sid("VL")?,
            channel,
            at: now,
        };
        if let Some(open) = self.0.get_mut(to) {
            if open.attempts.len() >= SENDS && !is_demo_number(to) {
                return Err(Refusal::SENDS);
            }
            open.channel = channel;
            open.attempts.push(attempt);
            return Ok(open.clone());
        }
        let verification = Verification {
            sid: random_sid("VE")?,
            to: to.to_owned(),
            code: random_code()?,
            channel,
            status: "pending",
            created_at: now,
            attempts: vec![attempt],
            wrong_checks: 0,
        };
        self.0.insert(to.to_owned(), verification.clone());
        Ok(verification)
    }

    /// Checks a code. The right one ends the verification.
    pub(super) fn check(
        &mut self,
        key: &Key,
        code: &str,
        now: i64,
    ) -> Result<Verification, Refusal> {
        let mut open = self.find(key, now)?;
        if open.wrong_checks >= CHECKS && !is_demo_number(&open.to) {
            return Err(Refusal::CHECKS);
        }
        if open.code == code {
            open.status = "approved";
            self.0.remove(&open.to);
        } else {
            open.wrong_checks = open.wrong_checks.saturating_add(1);
            self.0.insert(open.to.clone(), open.clone());
        }
        Ok(open)
    }

    pub(super) fn cancel(&mut self, sid: &str, now: i64) -> Result<Verification, Refusal> {
        let mut open = self.find(&Key::Sid(sid.to_owned()), now)?;
        open.status = "canceled";
        self.0.remove(&open.to);
        Ok(open)
    }

    pub(super) fn find(&mut self, key: &Key, now: i64) -> Result<Verification, Refusal> {
        self.remove_expired(now);
        let found = match key {
            Key::Sid(sid) => self.0.values().find(|it| it.sid == *sid),
            Key::To(to) => self.0.get(to),
        };
        found.cloned().ok_or(Refusal::NOT_FOUND)
    }

    fn remove_expired(&mut self, now: i64) {
        self.0
            .retain(|_, it| now < it.created_at.saturating_add(LIFETIME));
    }
}

/// A prefix and 32 random hexadecimal digits.
pub(super) fn random_sid(prefix: &str) -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", HEXLOWER.encode(&bytes)))
}

fn random_code() -> io::Result<String> {
    Ok(format!("{:06}", getrandom::u64()? % 1_000_000))
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}
