//! Reading what Twilio answers, and telling what it means.

use std::error::Error;

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::SendError;

/// More than any answer of Twilio's; the rest is not read.
const MAX_BODY: usize = 64 * 1024;

/// An answer of which at least the status arrived.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Empty where it broke off or was too long.
    body: Vec<u8>,
}

/// The fields of a verification, and of its check, that matter here.
#[derive(Deserialize)]
pub struct Verification {
    /// `VE…`, or whatever stands there.
    pub sid: String,
    /// The number.
    pub to: String,
    /// `pending`, `approved`, `canceled`, or anything.
    pub status: String,
}

impl Verification {
    /// What a body describes, if it does.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Twilio's error code, if a body has one.
pub fn error_code(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    refusal.map(|it| it.code)
}

impl Answer {
    pub(super) async fn read(mut response: Response) -> Self {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) | Err(_) => {
                    body.clear();
                    break;
                }
            }
        }
        Self { status, body }
    }

    /// The verification that the body describes, if it does.
    pub(super) fn verification(&self) -> Option<Verification> {
        Verification::read(&self.body)
    }

    /// Twilio's error code, if the body has one.
    pub(super) fn code(&self) -> Option<i64> {
        error_code(&self.body)
    }
}

/// No status arrived.
pub(super) enum NoAnswer {
    /// The connection could not be made (in time): nothing was asked.
    NotSent(reqwest::Error),
    /// The request went out, or part of it: it may have been heard.
    Unknown(reqwest::Error),
}

impl NoAnswer {
    pub(super) fn as_error(&self) -> &(dyn Error + 'static) {
        let (Self::NotSent(error) | Self::Unknown(error)) = self;
        error
    }
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::NotSent(error)
        } else {
            Self::Unknown(error)
        }
    }
}

/// What a refusal to send means. The codes are from Twilio's "Error and
/// Warning Dictionary" (<https://www.twilio.com/docs/api/errors>) and say more
/// than the status, so they go first.
///
/// `Failed` is the only one after which a call is tried. A block of fraud
/// guard must never be: it watches SMS only, and a call would pay the attacker.
pub fn refusal(status: u16, code: Option<i64>) -> SendError {
    match (status, code) {
        (_, Some(60200 | 21211 | 21614)) => SendError::InvalidNumber,
        (_, Some(60203 | 60212 | 20429)) => SendError::TooMany,
        (_, Some(60238 | 60410 | 60605 | 21408)) => SendError::Blocked,
        (429, _) => SendError::TooMany,
        (401, _) | (403, Some(20003)) | (404, Some(20404)) => SendError::Misconfigured,
        _ => SendError::Failed,
    }
}

/// Whether a text is `^VE[0-9a-fA-F]{32}$`, so that it may stand in a path.
pub fn is_verification_sid(text: &str) -> bool {
    text.strip_prefix("VE")
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
