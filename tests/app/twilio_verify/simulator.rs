//! The demo phone behaves like Twilio Verify.

use std::future::ready;
use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use twostep::dev::simulator::DemoPhone;
use twostep::services::clock::Clock;
use twostep::services::twilio_verify::{
    Channel, CheckError, RiskCheck, SendError, Service, TwilioVerify, Verdict,
};

use super::peer::PATIENT;
use super::{TO, spec};

pub const START: i64 = 1_700_000_000;

/// The demo phone, with a client of its simulator.
pub struct Demo {
    pub phone: DemoPhone,
    pub clock: Clock,
    pub client: TwilioVerify,
}

impl Demo {
    pub async fn start() -> Self {
        let clock = Clock::manual(START);
        let phone = DemoPhone::start(clock.clone()).await.unwrap();
        Self {
            client: TwilioVerify::new(phone.settings(), PATIENT).unwrap(),
            phone,
            clock,
        }
    }

    /// Sends a code by SMS. Returns its verification's SID and the code.
    pub async fn text(&self) -> (String, String) {
        let sent = self
            .client
            .send(Service::Main, TO, RiskCheck::Enable, ready(true))
            .await
            .unwrap();
        (sent.sid.unwrap(), self.latest_code())
    }

    pub fn latest_code(&self) -> String {
        self.phone.messages()[0].code.clone()
    }

    pub async fn check(&self, sid: &str, code: &str) -> Result<Verdict, CheckError> {
        let code = SecretString::from(code);
        self.client.check(Service::Main, TO, Some(sid), &code).await
    }

    /// A request without the client. Returns the status, Twilio's error code and the body.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, i64, Value) {
        let settings = self.phone.settings();
        let password = settings.password.expose_secret().to_owned();
        self.post_as(&settings.username, &password, &settings.service, path, form)
            .await
    }

    pub async fn post_as(
        &self,
        username: &str,
        password: &str,
        service: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> (u16, i64, Value) {
        let base = self.phone.settings().base_url;
        let response = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap()
            .post(format!("{base}v2/Services/{service}/{path}"))
            .basic_auth(username, Some(password))
            .form(form)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        if status >= 400 {
            assert_eq!(body["status"], status);
            assert!(body["message"].is_string() && body["more_info"].is_string());
        }
        (status, body["code"].as_i64().unwrap_or_default(), body)
    }

    pub async fn create(&self, to: &str, channel: &str) -> (u16, i64) {
        let form = [("To", to), ("Channel", channel)];
        let (status, code, _) = self.post("Verifications", &form).await;
        (status, code)
    }

    /// An SMS with a value of `RiskCheck`.
    pub async fn text_with(&self, to: &str, risk_check: &str) -> (u16, i64) {
        let form = [("To", to), ("Channel", "sms"), ("RiskCheck", risk_check)];
        let (status, code, _) = self.post("Verifications", &form).await;
        (status, code)
    }

    pub async fn raw_check(&self, sid: &str, code: &str) -> (u16, i64) {
        let form = [("VerificationSid", sid), ("Code", code)];
        let (status, code, _) = self.post("VerificationCheck", &form).await;
        (status, code)
    }
}

pub fn wrong(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

#[tokio::test]
async fn its_answers_match_twilios_specification() {
    let demo = Demo::start().await;
    let form = [("To", TO), ("Channel", "sms")];
    let (status, _, verification) = demo.post("Verifications", &form).await;
    assert_eq!(status, 201);
    assert_eq!(verification["status"], "pending");
    assert_eq!(verification["to"], TO);
    assert_eq!(verification["channel"], "sms");
    spec::assert_valid_resource("verify.v2.service.verification", &verification);
    let sid = verification["sid"].as_str().unwrap();

    let code = demo.latest_code();
    for (entered, expected) in [(wrong(&code), "pending"), (code.as_str(), "approved")] {
        let form = [("VerificationSid", sid), ("Code", entered)];
        let (status, _, check) = demo.post("VerificationCheck", &form).await;
        assert_eq!(status, 200);
        assert_eq!(check["status"], expected);
        assert_eq!(check["valid"], expected == "approved");
        assert_eq!(check["to"], TO);
        spec::assert_valid_resource("verify.v2.service.verification_check", &check);
    }

    let (sid, _) = demo.text().await;
    let path = format!("Verifications/{sid}");
    let (status, _, canceled) = demo.post(&path, &[("Status", "canceled")]).await;
    assert_eq!((status, &canceled["status"]), (200, &"canceled".into()));
    spec::assert_valid_resource("verify.v2.service.verification", &canceled);
}

#[tokio::test]
async fn a_code_arrives_on_the_phone_and_is_approved_once() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    let message = &demo.phone.messages()[0];
    assert_eq!(message.to, TO);
    assert_eq!(message.channel, Channel::Sms);
    assert_eq!(message.sent_at, START);
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));

    assert_eq!(demo.check(&sid, wrong(&code)).await, Ok(Verdict::Wrong));
    assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Approved));
    assert_eq!(demo.check(&sid, &code).await, Err(CheckError::Expired));
    assert_eq!(demo.raw_check(&sid, &code).await, (404, 20404));
    let counters = demo.phone.counters();
    assert_eq!(
        (counters.creates, counters.checks, counters.cancels),
        (1, 4, 0)
    );
}

#[tokio::test]
async fn a_number_keeps_its_verification_and_code_for_ten_minutes() {
    let demo = Demo::start().await;
    let first = demo.text().await;
    demo.clock.advance(Duration::from_secs(599));
    assert_eq!(demo.text().await, first);
    let called = demo.client.call(Service::Main, TO).await.unwrap();
    assert_eq!(called.sid, Some(first.0.clone()));
    assert_eq!(demo.latest_code(), first.1);
    assert_eq!(demo.raw_check(&first.0, wrong(&first.1)).await, (200, 0));
    // The ten minutes begin with the first send.
    demo.clock.advance(Duration::from_secs(1));
    assert_eq!(demo.raw_check(&first.0, &first.1).await, (404, 20404));
    let checked = demo.check(&first.0, &first.1).await;
    assert_eq!(checked, Err(CheckError::Expired));
    assert_ne!(demo.text().await.0, first.0);
}

#[tokio::test]
async fn a_verification_is_sent_five_times_over_all_channels() {
    let demo = Demo::start().await;
    for channel in ["sms", "call", "sms", "sms", "call"] {
        assert_eq!(demo.create(TO, channel).await, (201, 0));
    }
    for channel in ["sms", "call"] {
        assert_eq!(demo.create(TO, channel).await, (429, 60203));
    }
    assert_eq!(
        demo.client
            .send(Service::Main, TO, RiskCheck::Enable, ready(true))
            .await,
        Err(SendError::TooMany)
    );
    assert_eq!(demo.phone.messages().len(), 5);
    demo.clock.advance(Duration::from_secs(600));
    assert_eq!(demo.create(TO, "sms").await, (201, 0));
}

#[tokio::test]
async fn a_verification_takes_five_wrong_codes() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    for _ in 0..4 {
        assert_eq!(demo.check(&sid, wrong(&code)).await, Ok(Verdict::Wrong));
    }
    assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Approved));

    let (sid, code) = demo.text().await;
    for _ in 0..5 {
        assert_eq!(demo.check(&sid, wrong(&code)).await, Ok(Verdict::Wrong));
    }
    assert_eq!(demo.check(&sid, &code).await, Err(CheckError::TooManyWrong));
    assert_eq!(demo.raw_check(&sid, &code).await, (429, 60202));
}

#[tokio::test]
async fn a_canceled_verification_has_ended_and_the_next_is_new() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    assert_eq!(demo.client.cancel(Service::Main, &sid).await, Ok(()));
    assert_eq!(demo.raw_check(&sid, &code).await, (404, 20404));
    let path = format!("Verifications/{sid}");
    let (status, error, _) = demo.post(&path, &[("Status", "canceled")]).await;
    assert_eq!((status, error), (404, 20404));
    assert_eq!(demo.client.cancel(Service::Main, &sid).await, Ok(()));
    assert_ne!(demo.text().await.0, sid);
    assert_eq!(demo.phone.counters().cancels, 3);
}

#[tokio::test]
async fn the_two_services_are_independent() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    let enroll = demo
        .client
        .send(Service::Enroll, TO, RiskCheck::Enable, ready(true))
        .await
        .unwrap();
    let enroll_sid = enroll.sid.unwrap();
    assert_ne!(enroll_sid, sid);
    let secret = SecretString::from(code.clone());
    let result = demo
        .client
        .check(Service::Enroll, TO, Some(&sid), &secret)
        .await;
    assert_eq!(result, Err(CheckError::Expired));
    demo.client
        .cancel(Service::Enroll, &enroll_sid)
        .await
        .unwrap();
    assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Approved));
}

#[tokio::test]
async fn an_invalid_number_or_channel_is_an_invalid_parameter() {
    let demo = Demo::start().await;
    for to in [
        "",
        "12025550123",
        "+0123456789",
        "+1202555012x",
        "+1234567890123456",
    ] {
        assert_eq!(demo.create(to, "sms").await, (400, 60200), "{to}");
    }
    assert_eq!(demo.create(TO, "pigeon").await, (400, 60200));
    assert_eq!(
        demo.client
            .send(Service::Main, "no number", RiskCheck::Enable, ready(true))
            .await,
        Err(SendError::InvalidNumber)
    );
    let (status, error, _) = demo.post("VerificationCheck", &[("To", TO)]).await;
    assert_eq!((status, error), (400, 60200));
}

#[tokio::test]
async fn wrong_credentials_and_a_wrong_service_are_refused() {
    let demo = Demo::start().await;
    let settings = demo.phone.settings();
    let (username, service) = (settings.username.as_str(), settings.service.as_str());
    let password = settings.password.expose_secret();
    let form = [("To", TO), ("Channel", "sms")];
    for (username, password) in [(username, "wrong"), ("wrong", password), ("", "")] {
        let (status, code, _) = demo
            .post_as(username, password, service, "Verifications", &form)
            .await;
        assert_eq!((status, code), (401, 20003));
    }
    let (status, code, _) = demo
        .post_as(username, password, "VA0", "Verifications", &form)
        .await;
    assert_eq!((status, code), (404, 20404));
    assert!(demo.phone.messages().is_empty());
    assert_eq!(demo.phone.counters().creates, 4);
}

#[tokio::test]
async fn the_last_fifty_messages_are_kept_newest_first() {
    let demo = Demo::start().await;
    for i in 0..51 {
        demo.clock.advance(Duration::from_secs(1));
        let to = format!("+1202555{i:04}");
        assert_eq!(demo.create(&to, "sms").await, (201, 0));
    }
    let messages = demo.phone.messages();
    assert_eq!(messages.len(), 50);
    assert_eq!(messages[0].to, "+12025550050");
    assert_eq!(messages[49].to, "+12025550001");
}
