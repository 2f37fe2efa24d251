//! How the simulator can be made to fail, and what goes over the wire.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::rules::{Refusal, random_sid};

/// What every request is answered with, for tests of Twilio as a hostile peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This status, with this Twilio code if there is one. Nothing is sent.
    Status(u16, Option<i64>),
    /// No answer, ever. Nothing is sent.
    Silence,
    /// The connection is closed without an answer. Nothing is sent.
    Hangup,
    /// 200 and a body that is no JSON. Nothing is sent.
    Garbage,
    /// 307 to a place that approves every open verification (counted in
    /// [`super::Counters::followed`]). Nothing is sent.
    Redirect,
    /// Every text is refused, as to a landline. Calls are made.
    RefuseTexts,
    /// Codes are sent; a check, whatever the code, is `pending` and `valid`.
    PendingButValid,
    /// Codes are sent; every answer names another number, and a check,
    /// whatever the code, is `approved`.
    OtherTo,
    /// Codes are sent; every answer names another verification, and a check,
    /// whatever the code, is `approved`.
    OtherSid,
}

impl Failure {
    /// What is answered in place of doing anything.
    pub(super) fn instead(self, service: &str) -> Option<Reply> {
        match self {
            Self::Status(status, code) => Some(Reply::Error(status, code, "Made to fail")),
            Self::Silence => Some(Reply::Never),
            Self::Hangup => Some(Reply::Hangup),
            Self::Garbage => Some(Reply::Garbage),
            Self::Redirect => Some(Reply::Redirect(format!("/followed/{service}"))),
            Self::RefuseTexts | Self::PendingButValid | Self::OtherTo | Self::OtherSid => None,
        }
    }

    /// The status of every check.
    pub(super) fn status(self) -> &'static str {
        if self == Self::PendingButValid {
            "pending"
        } else {
            "approved"
        }
    }

    /// Puts the lie into an answer.
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

/// What goes over the wire.
pub(super) enum Reply {
    Json(StatusCode, Value),
    Error(u16, Option<i64>, &'static str),
    Redirect(String),
    Garbage,
    Never,
    Hangup,
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Error(refusal.status, Some(refusal.code), refusal.message)
    }
}

impl Reply {
    pub(super) async fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => json_response(status, &body),
            Self::Error(status, code, message) => {
                let http =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                match code {
                    None => http.into_response(),
                    Some(code) => json_response(
                        http,
                        &json!({
                            "code": code,
                            "message": message,
                            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
                            "status": http.as_u16(),
                        }),
                    ),
                }
            }
            Self::Redirect(to) => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
            }
            Self::Garbage => "<html>not what you think</html>".into_response(),
            Self::Never => std::future::pending().await,
            // A handler cannot close its connection. Unwinding ends the task
            // that serves it, and this way without the panic hook's noise.
            Self::Hangup => std::panic::resume_unwind(Box::new(())),
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
