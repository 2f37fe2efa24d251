//! The simulator's HTTP: routes, credentials, and resources as Twilio's
//! specification has them.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, post};
use data_encoding::BASE64;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::{Failure, Reply};
use super::rules::{Key, Refusal, SILENT, Verification, Verifications};
use super::{DemoPhone, Inner};

/// What is asked of a service.
enum Request {
    Create,
    Check,
    Cancel(String),
}

pub(super) fn router(phone: DemoPhone) -> Router {
    Router::new()
        .route("/v2/Services/{service}/Verifications", post(create))
        .route("/v2/Services/{service}/Verifications/{sid}", post(cancel))
        .route("/v2/Services/{service}/VerificationCheck", post(check))
        .route("/followed/{service}", any(followed))
        .with_state(phone)
}

impl DemoPhone {
    /// Answers a request to a service; the future of a silent answer never ends.
    async fn respond(
        &self,
        request: Request,
        service: &str,
        headers: &HeaderMap,
        body: &str,
    ) -> Response {
        let now = self.0.clock.now();
        let reply = self.reply(&request, service, headers, body, now);
        reply.into_response().await
    }

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
        let failure = inner.failure.filter(|it| *it != Failure::RefuseTexts);
        let is_text =
            matches!(request, Request::Create) && field(body, "Channel").as_deref() == Some("sms");
        if is_text && failure != inner.failure {
            return Reply::Error(
                403,
                Some(60205),
                "SMS is not supported by landline phone number",
            );
        }
        if let Some(reply) = failure.and_then(|it| it.instead(service)) {
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
                now,
            ),
            Request::Check => match (failure, field(body, "Code")) {
                (_, None) => Err(Refusal::PARAMETER),
                // Lies are told whatever the code is.
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
        Reply::Json(status, body)
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let credentials = format!("{}:{}", self.0.account, self.0.token);
        let expected = format!("Basic {}", BASE64.encode(credentials.as_bytes()));
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == expected.as_bytes())
    }

    fn service<'a>(&self, inner: &'a mut Inner, sid: &str) -> Option<&'a mut Verifications> {
        if sid == self.0.service {
            Some(&mut inner.main)
        } else if sid == self.0.enroll_service {
            Some(&mut inner.enroll)
        } else {
            None
        }
    }

    /// The resource as Twilio's specification has it.
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
            "account_sid": self.0.account,
            "to": verification.to,
            "channel": verification.channel.as_str(),
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
                    "channel": attempt.channel.as_str(),
                    "attempt_sid": attempt.sid,
                })).collect::<Vec<_>>(),
                "sna": null,
                "url": format!(
                    "{}v2/Services/{service}/Verifications/{}",
                    self.0.base_url, verification.sid
                ),
            }),
        };
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    }
}

async fn create(
    State(phone): State<DemoPhone>,
    Path(service): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    phone
        .respond(Request::Create, &service, &headers, &body)
        .await
}

async fn check(
    State(phone): State<DemoPhone>,
    Path(service): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    phone
        .respond(Request::Check, &service, &headers, &body)
        .await
}

async fn cancel(
    State(phone): State<DemoPhone>,
    Path((service, sid)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    phone
        .respond(Request::Cancel(sid), &service, &headers, &body)
        .await
}

/// Where [`Failure::Redirect`] leads: whoever follows it is told "approved".
async fn followed(
    State(phone): State<DemoPhone>,
    Path(service): Path<String>,
    body: String,
) -> Response {
    let now = phone.0.clock.now();
    let reply = {
        let inner = &mut *phone.lock();
        inner.counters.followed += 1;
        let found = phone
            .service(inner, &service)
            .ok_or(Refusal::NOT_FOUND)
            .and_then(|verifications| verifications.find(&key(&body), now));
        match found {
            Ok(mut verification) => {
                verification.status = "approved";
                Reply::Json(
                    StatusCode::OK,
                    phone.describe(&Request::Check, &service, &verification, now),
                )
            }
            Err(refusal) => refusal.into(),
        }
    };
    reply.into_response().await
}

fn field(body: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Which verification a check is about.
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
