//! A Twilio that delays each check until the test permits the answer. Every code is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::support::{PATIENCE, TestApp};

#[derive(Clone)]
pub struct SlowTwilio(Arc<Gate>);

struct Gate {
    /// A permit for each check that has arrived.
    arrived: Semaphore,
    /// A permit for each check that may be answered.
    answers: Semaphore,
    /// Whether checks are answered at once that the code does not exist.
    forgetful: AtomicBool,
}

impl SlowTwilio {
    /// The app with this Twilio.
    pub async fn start() -> (Self, TestApp) {
        let twilio = Self(Arc::new(Gate {
            arrived: Semaphore::new(0),
            answers: Semaphore::new(0),
            forgetful: AtomicBool::new(false),
        }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v2/Services/{service}/Verifications", post(create))
            .route("/v2/Services/{service}/Verifications/{sid}", post(cancel))
            .route("/v2/Services/{service}/VerificationCheck", post(check))
            .with_state(twilio.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let account = format!("AC{}", "a".repeat(32));
        let service = format!("VA{}", "b".repeat(32));
        let settings = [
            ("TWILIO_ACCOUNT_SID", account.as_str()),
            ("TWILIO_AUTH_TOKEN", "a-twilio-token"),
            ("TWILIO_VERIFY_SERVICE_ID", &service),
            ("TWILIO_VERIFY_BASE_URL", &base_url),
        ];
        (twilio, TestApp::with_timeout(&settings, PATIENCE).await)
    }

    /// Waits until a check is in flight.
    pub async fn check_arrives(&self) {
        self.0.arrived.acquire().await.unwrap().forget();
    }

    /// Permits the answers of so many checks.
    pub fn answer(&self, checks: usize) {
        self.0.answers.add_permits(checks);
    }

    /// From now on checks are answered at once that the code does not exist.
    pub fn forget_codes(&self) {
        self.0.forgetful.store(true, Ordering::SeqCst);
    }
}

/// A SID with the number in it, so that a check can return the number.
fn sid(to: &str) -> String {
    format!("VE{:0>32}", to.trim_start_matches('+'))
}

fn field(body: &str, name: &str) -> String {
    url::form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap()
}

async fn create(body: String) -> (StatusCode, String) {
    let to = field(&body, "To");
    let body = json!({ "sid": sid(&to), "to": to, "status": "pending" });
    (StatusCode::CREATED, body.to_string())
}

async fn check(State(twilio): State<SlowTwilio>, body: String) -> (StatusCode, String) {
    let sid = field(&body, "VerificationSid");
    twilio.0.arrived.add_permits(1);
    if twilio.0.forgetful.load(Ordering::SeqCst) {
        let body = json!({ "code": 20404, "message": "not found", "status": 404 });
        return (StatusCode::NOT_FOUND, body.to_string());
    }
    twilio.0.answers.acquire().await.unwrap().forget();
    let to = format!("+{}", sid.trim_start_matches("VE").trim_start_matches('0'));
    let body = json!({ "sid": sid, "to": to, "status": "approved" });
    (StatusCode::OK, body.to_string())
}

async fn cancel(Path((_, sid)): Path<(String, String)>) -> String {
    json!({ "sid": sid, "to": "", "status": "canceled" }).to_string()
}
