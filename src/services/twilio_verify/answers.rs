//! The meaning of Twilio's answers.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::{CheckError, SendError, Verdict};
use crate::config::is_sid;

/// Twilio's answers are shorter. A longer one counts as empty.
const MAX_BODY: usize = 64 * 1024;

/// An answer with at least a status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Empty if it broke off or was too long.
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) async fn read(response: Response) -> Self {
        let status = response.status();
        let body = read_body(response).await.unwrap_or_default();
        Self { status, body }
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            return Ok(Vec::new());
        }
    }
    Ok(body)
}

/// The fields of a verification and of its check that the client reads.
#[derive(Deserialize)]
pub struct Verification {
    /// `VE…`, not validated.
    pub sid: String,
    /// The phone number.
    pub to: String,
    /// One of [`verdict`]'s, or anything else.
    pub status: String,
}

impl Verification {
    /// Parses an answer's body.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Twilio's error code in an answer's body.
pub fn error_code(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    refusal.map(|it| it.code)
}

/// The meaning of a refusal to send. The codes are from Twilio's "Error and Warning
/// Dictionary" (<https://www.twilio.com/docs/api/errors>). They say more than the status, so
/// they go first.
///
/// A 429 is about our account unless its code names the number: "the maximum number of
/// concurrent API requests has been reached" ("Twilio API response Error 429",
/// <https://support.twilio.com/hc/en-us/articles/360044308153>). Only 20429 has an example in
/// Twilio's specification. A call would be one more request.
///
/// Only `Failed` is followed by a call. A block by Fraud Guard must not be: Fraud Guard
/// watches SMS only, and a call would pay the attacker.
pub fn refusal(status: u16, code: Option<i64>) -> SendError {
    match (status, code) {
        (_, Some(60200 | 21211 | 21614)) => SendError::InvalidNumber,
        (_, Some(60202 | 60203 | 60212)) => SendError::TooMany,
        (_, Some(60410 | 60605)) => SendError::FraudGuard,
        (_, Some(60238 | 21408)) => SendError::Blocked,
        (429, _) | (_, Some(20429)) => SendError::RateLimited,
        (401, _) | (403, Some(20003)) | (404, Some(20404)) => SendError::Misconfigured,
        _ => SendError::Failed,
    }
}

/// The meaning of a checked verification's status. Twilio's specification lists these seven.
/// [`CheckError::Expired`] lets the user request another code.
pub(super) fn verdict(status: &str) -> Result<Verdict, CheckError> {
    match status {
        "approved" => Ok(Verdict::Approved),
        "pending" => Ok(Verdict::Wrong),
        "expired" | "canceled" | "deleted" | "failed" => Err(CheckError::Expired),
        "max_attempts_reached" => Err(CheckError::TooManyWrong),
        _ => Err(CheckError::Unavailable),
    }
}

/// The meaning of a refusal to check. A 429 without 60202 is about the requests, as above,
/// and leaves the verification open.
pub(super) fn refusal_to_check(status: u16, code: Option<i64>) -> CheckError {
    match (status, code) {
        (_, Some(60202)) => CheckError::TooManyWrong,
        (404, _) => CheckError::Expired,
        _ => CheckError::Unavailable,
    }
}

/// Whether two texts are the same international phone number, whatever their formatting.
pub fn is_same_number(one: &str, other: &str) -> bool {
    international_digits(one).is_some_and(|digits| Some(digits) == international_digits(other))
}

/// The digits after the `+` or `00`, in E.164 at most 15. A number without a prefix may be of
/// another country.
fn international_digits(text: &str) -> Option<String> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')');
    let text: String = text.chars().filter(|c| !is_separator(*c)).collect();
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
    let is_number = (1..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.to_owned())
}

/// Whether a text matches `^VE[0-9a-fA-F]{32}$`, so that it is safe in a path.
pub fn is_verification_sid(text: &str) -> bool {
    is_sid("VE", text)
}

/// The error as `tracing` records it: with its causes.
pub(super) fn as_error(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    error
}

/// The last three digits of a number, for the log.
pub(super) fn mask(number: &str) -> String {
    let tail = number.get(number.len().saturating_sub(3)..);
    format!("…{}", tail.unwrap_or_default())
}
