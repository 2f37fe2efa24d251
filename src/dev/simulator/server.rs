//! The simulator's HTTP: routes, credentials, and resources by Twilio's specification.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, post};
use data_encoding::BASE64;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::{Failure, Reply};
use super::rules::{Key, Refusal, SILENT, Verification, Verifications};
use super::{DemoPhone, Inner};

/// A request to a service.
enum Request {
    Create,
    Check,
    Cancel(String),
}

pub(super) fn router(phone: DemoPhone) -> Router {
    Router::new()
        .route("/v2/Services/{service}/{*resource}", post(serve))
        .route("/followed", any(followed))
        .with_state(phone)
}

impl DemoPhone {
    fn reply(
        &self,
        request: &Request,
        service: &str,
        headers: &HeaderMap,
        body: &str,
        now: i64,
    ) -> Reply {
        let inner = &mut *self.lock();
        let count = match request {
            Request::Create => &mut inner.counters.creates,
            Request::Check => &mut inner.counters.checks,
            Request::Cancel(_) => &mut inner.counters.cancels,
        };
        *count += 1;
        let is_sms =
            matches!(request, Request::Create) && field(body, "Channel").as_deref() == Some("sms");
        let risk_check = field(body, "RiskCheck");
        let skips_fraud_guard = is_sms && risk_check.as_deref() == Some("disable");
        let failure = match inner.failure {
            Some(Failure::RefuseSms) if is_sms => return Refusal::LANDLINE.into(),
            Some(Failure::RefuseSms) => None,
            Some(Failure::Status(_, Some(60410 | 60605))) if skips_fraud_guard => None,
            failure => failure,
        };
        if let Some(reply) = failure.and_then(|it| it.reply()) {
            return reply;
        }
        if !self.authorized(headers) {
            return Refusal::CREDENTIALS.into();
        }
        let Some(verifications) = self.service(inner, service) else {
            return Refusal::NOT_FOUND.into();
        };
        let result = match request {
            Request::Create => verifications.create(
                &field(body, "To").unwrap_or_default(),
                &field(body, "Channel").unwrap_or_default(),
                risk_check.as_deref(),
                now,
            ),
            Request::Check => match (failure, field(body, "Code")) {
                (_, None) => Err(Refusal::PARAMETER),
                // A falsified check does not depend on the code.
                (Some(failure), _) => verifications.find(&key(body), now).map(|mut it| {
                    it.status = failure.status();
                    it
                }),
                (None, Some(code)) => verifications.check(&key(body), &code, now),
            },
            Request::Cancel(sid) => match field(body, "Status").as_deref() {
                Some("canceled") => verifications.cancel(sid, now),
                _ => Err(Refusal::PARAMETER),
            },
        };
        let verification = match result {
            Ok(verification) => verification,
            Err(refusal) => return refusal.into(),
        };
        let mut status = StatusCode::OK;
        if matches!(request, Request::Create) {
            status = StatusCode::CREATED;
            inner.receive(&verification, now);
            if verification.to == SILENT {
                return Reply::Never;
            }
        }
        let mut body = self.describe(request, service, &verification, now);
        if let Some(failure) = failure {
            failure.distort(&mut body, matches!(request, Request::Check));
        }
        Reply::json(status, &body)
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let it = &self.0.settings;
        let credentials = format!("{}:{}", it.username, it.password.expose_secret());
        let expected = format!("Basic {}", BASE64.encode(credentials.as_bytes()));
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == expected.as_bytes())
    }

    fn service<'a>(&self, inner: &'a mut Inner, sid: &str) -> Option<&'a mut Verifications> {
        if sid == self.0.settings.service {
            Some(&mut inner.main)
        } else if sid == self.0.settings.enroll_service {
            Some(&mut inner.enroll)
        } else {
            None
        }
    }

    /// The resource by Twilio's specification.
    fn describe(
        &self,
        request: &Request,
        service: &str,
        verification: &Verification,
        now: i64,
    ) -> Value {
        let mut body = json!({
            "sid": verification.sid,
            "service_sid": service,
            "account_sid": self.0.settings.username,
            "to": verification.to,
            "channel": verification.channel.into_str(),
            "status": verification.status,
            "valid": verification.status == "approved",
            "amount": null,
            "payee": null,
            "date_created": date(verification.created_at),
            "date_updated": date(now),
        });
        let more = match request {
            Request::Check => json!({ "sna_attempts_error_codes": [] }),
            Request::Create | Request::Cancel(_) => json!({
                "lookup": {},
                "send_code_attempts": verification.attempts.iter().map(|attempt| json!({
                    "time": date(attempt.at),
                    "channel": attempt.channel.into_str(),
                    "attempt_sid": attempt.sid,
                })).collect::<Vec<_>>(),
                "sna": null,
                "url": format!(
                    "{}v2/Services/{service}/Verifications/{}",
                    self.0.settings.base_url, verification.sid
                ),
            }),
        };
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    }
}

/// Responds to a request to a service. A silent reply never comes.
async fn serve(
    State(phone): State<DemoPhone>,
    Path((service, resource)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = match resource.as_str() {
        "Verifications" => Some(Request::Create),
        "VerificationCheck" => Some(Request::Check),
        other => other
            .strip_prefix("Verifications/")
            .map(|sid| Request::Cancel(sid.to_owned())),
    };
    let now = phone.0.clock.now();
    let reply = match request {
        Some(request) => phone.reply(&request, &service, &headers, &body, now),
        None => Refusal::NOT_FOUND.into(),
    };
    reply.into_response().await
}

/// The target of [`Failure::Redirect`], which the client must not request.
async fn followed(State(phone): State<DemoPhone>) {
    phone.lock().counters.followed += 1;
}

fn field(body: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The verification that a check is about.
fn key(body: &str) -> Key {
    match field(body, "VerificationSid") {
        Some(sid) => Key::Sid(sid),
        None => Key::To(field(body, "To").unwrap_or_default()),
    }
}

fn date(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|date| date.format(&Rfc3339).ok())
}
