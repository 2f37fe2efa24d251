//! Failures of the simulator, for tests, and its replies.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::rules::{Refusal, random_sid};

/// The reply to every request, for tests of Twilio as a hostile peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This status, with this Twilio code if there is one. Nothing is sent, unless it is a code
    /// of Fraud Guard (60410, 60605) and the request for an SMS has `RiskCheck=disable`.
    Status(u16, Option<i64>),
    /// No answer, ever. Nothing is sent.
    Silence,
    /// The connection is closed without an answer. Nothing is sent.
    Hangup,
    /// 200 and a body that is not JSON. Nothing is sent.
    Garbage,
    /// 307 to an address that counts in [`super::Counters::followed`]. Nothing is sent.
    Redirect,
    /// Every SMS is refused, as to a landline. Calls are made.
    RefuseSms,
    /// Codes are sent. Every check has this status.
    CheckStatus(&'static str),
    /// Codes are sent. Every check is `pending` and `valid`.
    PendingButValid,
    /// Codes are sent. Every answer names another number, and every check is `approved`.
    OtherTo,
    /// Codes are sent. Every answer names another verification, and every check is `approved`.
    OtherSid,
}

impl Failure {
    /// The reply to a request that has no other effect.
    pub(super) fn reply(self) -> Option<Reply> {
        match self {
            Self::Status(status, code) => Some(Reply::error(status, code, "Made to fail")),
            Self::Silence => Some(Reply::Never),
            Self::Hangup => Some(Reply::Hangup),
            Self::Garbage => Some(Reply::Respond("<html>no JSON</html>".into_response())),
            Self::Redirect => {
                let redirect = Redirect::temporary("/followed");
                Some(Reply::Respond(redirect.into_response()))
            }
            Self::RefuseSms
            | Self::CheckStatus(_)
            | Self::PendingButValid
            | Self::OtherTo
            | Self::OtherSid => None,
        }
    }

    /// The status of every check.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::CheckStatus(status) => status,
            Self::PendingButValid => "pending",
            _ => "approved",
        }
    }

    /// Falsifies an answer.
    pub(super) fn distort(self, body: &mut Value, is_check: bool) {
        let (field, value) = match self {
            Self::PendingButValid if is_check => ("valid", Value::Bool(true)),
            Self::OtherTo => ("to", json!("+12025550199")),
            Self::OtherSid => ("sid", json!(random_sid("VE").unwrap_or_default())),
            _ => return,
        };
        if let Some(body) = body.as_object_mut() {
            body.insert(field.to_owned(), value);
        }
    }
}

pub(super) enum Reply {
    Respond(Response),
    Never,
    Hangup,
}

impl From<Refusal> for Reply {
    fn from(it: Refusal) -> Self {
        Self::error(it.status, Some(it.code), it.message)
    }
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        Self::Respond((status, content_type, body.to_string()).into_response())
    }

    fn error(status: u16, code: Option<i64>, message: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let Some(code) = code else {
            return Self::Respond(status.into_response());
        };
        let body = json!({
            "code": code,
            "message": message,
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
            "status": status.as_u16(),
        });
        Self::json(status, &body)
    }

    pub(super) async fn into_response(self) -> Response {
        match self {
            Self::Respond(response) => response,
            Self::Never => std::future::pending().await,
            // A handler cannot close its connection. Unwinding ends the task that serves it,
            // and `resume_unwind` does not run the panic hook.
            Self::Hangup => std::panic::resume_unwind(Box::new(())),
        }
    }
}
