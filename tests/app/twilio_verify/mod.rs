//! The client of Twilio Verify, case by case of what Twilio may answer to a send, and the
//! simulator.

mod certificate;
mod checks;
mod hostile;
mod logging;
mod peer;
mod simulator;
mod spec;

use std::future::ready;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use twostep::routes::REQUEST_TIMEOUT;
use twostep::server::Limits;
use twostep::services::twilio_verify::{
    CONNECT_TIMEOUT, CancelError, Channel, CheckError, SendError, Sent, Service, TIMEOUT,
    TwilioVerify, Verdict,
};
use url::Url;

use peer::{ENROLL_SERVICE, Peer, Reply, SERVICE, http, settings};

const TO: &str = "+12025550123";
const OTHER: &str = "+12025550199";
const SID: &str = "VEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA";
const OTHER_SID: &str = "VEbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn code() -> SecretString {
    SecretString::from("123456")
}

fn created(sid: &str, to: &str) -> Reply {
    Reply::Json(201, json!({ "sid": sid, "to": to, "status": "pending" }))
}

fn checked(status: &str) -> Value {
    json!({ "sid": SID, "to": TO, "status": status, "valid": status == "approved" })
}

fn refused(status: u16, code: i64) -> Reply {
    Reply::Json(
        status,
        json!({ "code": code, "message": "no", "more_info": "", "status": status }),
    )
}

fn sent(sid: Option<&str>, channel: Channel) -> Result<Sent, SendError> {
    let sid = sid.map(str::to_owned);
    Ok(Sent { sid, channel })
}

/// Twilio answers an SMS so: there must be this result, and no call.
async fn assert_no_call(reply: Reply, expected: Result<Sent, SendError>) {
    let peer = Peer::start(vec![reply]).await;
    assert_eq!(
        peer.client().send(Service::Main, TO, ready(true)).await,
        expected
    );
    assert_eq!(peer.channels(), ["sms"]);
}

/// Twilio answers an SMS so: there must be one call.
async fn assert_call(reply: Reply) {
    let peer = Peer::start(vec![reply, created(SID, TO)]).await;
    assert_eq!(
        peer.client().send(Service::Main, TO, ready(true)).await,
        sent(Some(SID), Channel::Call)
    );
    assert_eq!(peer.channels(), ["sms", "call"]);
}

/// ASVS 13.2.6
#[test]
fn the_default_address_is_the_one_server_of_twilios_specification() {
    // Which is the default of the settings: see `twilio_with_a_token` there.
    assert_eq!(spec::servers(), ["https://verify.twilio.com"]);
    assert_eq!(CONNECT_TIMEOUT, Duration::from_secs(3));
    assert_eq!(TIMEOUT, Duration::from_secs(8));
}

/// A page waits for the form, and then for Twilio three times: to cancel, to text, to call.
/// Who gave it up before would be told to try again what goes on.
#[test]
fn a_page_may_take_longer_than_a_slow_form_and_a_slow_twilio_together() {
    let slowest = Limits::default().body_timeout + 3 * TIMEOUT;
    assert!(slowest < REQUEST_TIMEOUT, "{slowest:?}");
    let nginx = include_str!("../../../deploy/nginx.conf");
    let pattern = Regex::new(r"proxy_read_timeout (\d+)s;").unwrap();
    let patience = pattern.captures(nginx).unwrap()[1].parse().unwrap();
    assert!(REQUEST_TIMEOUT < Duration::from_secs(patience));
}

#[tokio::test]
async fn an_sms_that_is_accepted_is_sent_by_sms() {
    assert_no_call(created(SID, TO), sent(Some(SID), Channel::Sms)).await;
}

/// ASVS 1.3.6
#[tokio::test]
async fn each_service_is_asked_by_its_own_sid() {
    let peer = Peer::start(vec![
        created(SID, TO),
        created(SID, TO),
        Reply::Json(200, checked("pending")),
        Reply::Json(200, checked("canceled")),
    ])
    .await;
    let client = peer.client();
    client.send(Service::Main, TO, ready(true)).await.unwrap();
    client.call(Service::Enroll, TO).await.unwrap();
    let verdict = client
        .check(Service::Enroll, TO, Some(SID), &code())
        .await
        .unwrap();
    assert_eq!(verdict, Verdict::Wrong);
    client.cancel(Service::Enroll, SID).await.unwrap();
    let paths: Vec<_> = peer.requests().into_iter().map(|it| it.path).collect();
    assert_eq!(
        paths,
        [
            format!("/v2/Services/{SERVICE}/Verifications"),
            format!("/v2/Services/{ENROLL_SERVICE}/Verifications"),
            format!("/v2/Services/{ENROLL_SERVICE}/VerificationCheck"),
            format!("/v2/Services/{ENROLL_SERVICE}/Verifications/{SID}"),
        ]
    );
}

#[tokio::test]
async fn a_base_url_may_end_in_a_slash_and_have_a_path() {
    let peer = Peer::start(vec![created(SID, TO)]).await;
    let base = peer.base_url.join("/proxy/").unwrap();
    let client = TwilioVerify::new(settings(base)).unwrap();
    let result = client.send(Service::Main, TO, ready(true)).await;
    assert_eq!(result, sent(Some(SID), Channel::Sms));
}

#[tokio::test]
async fn an_sms_refused_as_landline_is_followed_by_one_call() {
    assert_call(refused(403, 60205)).await;
}

#[tokio::test]
async fn an_sms_refused_as_switched_off_is_followed_by_one_call() {
    assert_call(refused(403, 60223)).await;
}

#[tokio::test]
async fn an_sms_refused_for_a_reason_not_listed_is_followed_by_one_call() {
    for (status, code) in [(400, 60000), (403, 60228), (404, 1), (403, 1)] {
        assert_call(refused(status, code)).await;
    }
    assert_call(Reply::Raw(http(400, "", "<html>"))).await;
    assert_call(Reply::Raw(http(404, "", ""))).await;
}

#[tokio::test]
async fn a_server_error_is_followed_by_one_call() {
    for status in [500, 502, 503, 504] {
        assert_call(refused(status, 20500)).await;
        assert_call(Reply::Raw(http(status, "", "<html>"))).await;
    }
}

/// ASVS 15.3.2
#[tokio::test]
async fn a_redirect_of_an_sms_is_not_followed_but_a_call_is_tried() {
    let elsewhere = Peer::start(vec![]).await;
    let location = format!("location: {}\r\n", elsewhere.base_url);
    assert_call(Reply::Raw(http(307, &location, ""))).await;
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = TwilioVerify::new(settings(Url::parse(&base).unwrap())).unwrap();
    assert_eq!(
        client.send(Service::Main, TO, ready(true)).await,
        Err(SendError::Failed)
    );
    let verdict = client.check(Service::Main, TO, Some(SID), &code()).await;
    assert_eq!(verdict, Err(CheckError::Unavailable));
    assert_eq!(client.cancel(Service::Main, SID).await, Err(CancelError));
}

/// How many connections a peer saw that never gets as far as TLS.
async fn connections_without_tls(hang_up: bool) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.send(()).unwrap();
            if !hang_up {
                open.push(stream);
            }
        }
    });
    let mut settings = settings(Url::parse(&base).unwrap());
    if !hang_up {
        settings.connect_timeout = Duration::from_millis(300);
    }
    let client = TwilioVerify::new(settings).unwrap();
    assert_eq!(
        client.send(Service::Main, TO, ready(true)).await,
        Err(SendError::Failed)
    );
    let mut connections = 0;
    while counted.try_recv().is_ok() {
        connections += 1;
    }
    connections
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_followed_by_one_call() {
    assert_eq!(connections_without_tls(true).await, 2);
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_followed_by_one_call() {
    assert_eq!(connections_without_tls(false).await, 2);
}

#[tokio::test]
async fn a_number_that_cannot_be_reached_is_not_called() {
    for code in [60200, 21211, 21614] {
        assert_no_call(refused(400, code), Err(SendError::InvalidNumber)).await;
    }
}

#[tokio::test]
async fn too_many_codes_are_not_followed_by_a_call() {
    for code in [60203, 60212, 20429, 1] {
        assert_no_call(refused(429, code), Err(SendError::TooMany)).await;
    }
    for code in [60203, 60212, 20429] {
        assert_no_call(refused(403, code), Err(SendError::TooMany)).await;
    }
    let without_code = Reply::Raw(http(429, "retry-after: 1\r\n", ""));
    assert_no_call(without_code, Err(SendError::TooMany)).await;
}

#[tokio::test]
async fn a_blocked_number_is_not_called() {
    for code in [60238, 60410, 60605, 21408] {
        for status in [400, 403, 429, 503] {
            assert_no_call(refused(status, code), Err(SendError::Blocked)).await;
        }
    }
}

#[tokio::test]
async fn wrong_credentials_or_a_wrong_service_are_not_followed_by_a_call() {
    for (status, code) in [(401, 20003), (401, 1), (403, 20003), (404, 20404)] {
        assert_no_call(refused(status, code), Err(SendError::Misconfigured)).await;
    }
    let without_code = Reply::Raw(http(401, "", ""));
    assert_no_call(without_code, Err(SendError::Misconfigured)).await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_it_unknown_and_is_not_followed_by_a_call() {
    let peer = Peer::start(vec![Reply::Silence]).await;
    let result = peer
        .impatient_client()
        .send(Service::Main, TO, ready(true))
        .await;
    assert_eq!(result, sent(None, Channel::Sms));
    assert_eq!(peer.channels(), ["sms"]);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_not_followed_by_a_call() {
    let unknown = || sent(None, Channel::Sms);
    for bytes in [
        "",
        "HTTP/1.1 201 Cre",
        "no HTTP at all\r\n\r\n",
        "HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"sid\": ",
    ] {
        assert_no_call(Reply::Raw(bytes.to_owned()), unknown()).await;
    }
}

#[tokio::test]
async fn a_success_that_makes_no_sense_has_no_sid_and_is_not_followed_by_a_call() {
    let unknown = || sent(None, Channel::Sms);
    assert_no_call(created(SID, OTHER), unknown()).await;
    for sid in ["", "VE1", "VEggggggggggggggggggggggggggggggggg", "../../x"] {
        assert_no_call(created(sid, TO), unknown()).await;
    }
    let with_newline = format!("{SID}\n");
    assert_no_call(created(&with_newline, TO), unknown()).await;
    assert_no_call(Reply::Raw(http(201, "", "<html>")), unknown()).await;
    assert_no_call(Reply::Raw(http(201, "", "")), unknown()).await;
    assert_no_call(Reply::Json(201, json!({ "sid": SID })), unknown()).await;
    assert_no_call(Reply::Json(200, checked("pending")), unknown()).await;
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_than_64_kib() {
    let answer = |length: usize| {
        let mut body = checked("pending");
        body["filler"] = "".into();
        let filler = length - body.to_string().len();
        body["filler"] = "x".repeat(filler).into();
        Reply::Json(201, body)
    };
    assert_no_call(answer(64 * 1024), sent(Some(SID), Channel::Sms)).await;
    assert_no_call(answer(64 * 1024 + 1), sent(None, Channel::Sms)).await;
}

#[tokio::test]
async fn a_call_that_fails_too_is_the_end() {
    let peer = Peer::start(vec![refused(403, 60205), refused(500, 20500)]).await;
    let result = peer.client().send(Service::Main, TO, ready(true)).await;
    assert_eq!(result, Err(SendError::Failed));
    assert_eq!(peer.channels(), ["sms", "call"]);
}

#[tokio::test]
async fn a_call_after_an_sms_is_judged_by_the_same_table() {
    let peer = Peer::start(vec![refused(403, 60205), refused(429, 60203)]).await;
    let result = peer.client().send(Service::Main, TO, ready(true)).await;
    assert_eq!(result, Err(SendError::TooMany));

    let peer = Peer::start(vec![refused(403, 60205), Reply::Silence]).await;
    let result = peer
        .impatient_client()
        .send(Service::Main, TO, ready(true))
        .await;
    assert_eq!(result, sent(None, Channel::Call));
    assert_eq!(peer.channels(), ["sms", "call"]);
}

#[tokio::test]
async fn call_me_calls_once_and_sends_no_sms() {
    let peer = Peer::start(vec![created(SID, TO)]).await;
    let result = peer.client().call(Service::Main, TO).await;
    assert_eq!(result, sent(Some(SID), Channel::Call));
    assert_eq!(peer.channels(), ["call"]);

    let peer = Peer::start(vec![refused(500, 20500)]).await;
    let result = peer.client().call(Service::Main, TO).await;
    assert_eq!(result, Err(SendError::Failed));
    assert_eq!(peer.channels(), ["call"]);
}
