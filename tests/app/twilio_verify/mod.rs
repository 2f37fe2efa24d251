//! The client of Twilio Verify: the outcome of each answer to a send.

mod certificate;
mod checks;
mod demo_numbers;
mod logging;
mod numbers;
mod peer;
mod simulator;
mod spec;

use std::future::ready;
use std::time::Duration;

use peer::{ENROLL_SERVICE, PATIENT, Peer, Reply, SERVICE, client, http, settings};
use regex::Regex;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use twostep::middleware::request_log::REQUEST_TIMEOUT;
use twostep::server::Limits;
use twostep::services::twilio_verify::{
    CancelError, Channel, CheckError, RiskCheck, SendError, Sent, Service, TIMEOUT, Timeouts,
    TwilioVerify, Verdict,
};

const TO: &str = "+12025550123";
const OTHER: &str = "+12025550199";
const SID: &str = "VEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA";
const OTHER_SID: &str = "VEbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// The result of a send without an answer.
const UNKNOWN: Result<Sent, SendError> = Ok(Sent {
    sid: None,
    channel: Channel::Sms,
});

fn code() -> SecretString {
    SecretString::from("123456")
}

fn created(sid: &str, to: &str) -> Reply {
    Reply::Json(201, json!({ "sid": sid, "to": to, "status": "pending" }))
}

fn checked(status: &str) -> Value {
    json!({ "sid": SID, "to": TO, "status": status, "valid": status == "approved" })
}

fn raw(status: u16, body: &str) -> Reply {
    Reply::Raw(http(status, "", body))
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

/// Sends a code and asserts the result and the channels that were requested.
async fn assert_send(replies: Vec<Reply>, expected: Result<Sent, SendError>, channels: &[&str]) {
    let case = format!("{replies:?}");
    let is_silent = replies.iter().any(|it| matches!(it, Reply::Silence));
    let peer = Peer::start(replies).await;
    let client = match is_silent {
        true => peer.impatient_client(),
        false => peer.client(),
    };
    let result = client
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await;
    assert_eq!(result, expected, "{case}");
    assert_eq!(peer.channels(), channels, "{case}");
}

/// ASVS 13.2.6
#[test]
fn the_default_address_is_the_one_server_of_twilios_specification() {
    // The test `twilio_with_a_token` asserts that it is the default.
    assert_eq!(spec::servers(), ["https://verify.twilio.com"]);
    assert_eq!(Timeouts::default().connect, Duration::from_secs(3));
    assert_eq!(Timeouts::default().request, Duration::from_secs(8));
}

/// A request waits for its form, and then for Twilio up to three times: to cancel, to send
/// an SMS, to call. A shorter timeout would report a failure while the work goes on.
#[test]
fn a_request_may_take_longer_than_a_slow_form_and_a_slow_twilio_together() {
    let slowest = Limits::default().body_timeout + 3 * TIMEOUT;
    assert!(slowest < REQUEST_TIMEOUT, "{slowest:?}");
    let nginx = include_str!("../../../deploy/nginx.conf");
    let pattern = Regex::new(r"proxy_read_timeout (\d+)s;").unwrap();
    let seconds = pattern.captures(nginx).unwrap()[1].parse().unwrap();
    assert!(REQUEST_TIMEOUT < Duration::from_secs(seconds));
}

/// ASVS 1.3.6
#[tokio::test]
async fn each_service_is_addressed_by_its_own_sid() {
    let peer = Peer::start(vec![
        created(SID, TO),
        created(SID, TO),
        Reply::Json(200, checked("pending")),
        Reply::Json(200, checked("canceled")),
    ])
    .await;
    let client = peer.client();
    client
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await
        .unwrap();
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
    let result = client(base)
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await;
    assert_eq!(result, sent(Some(SID), Channel::Sms));
}

/// Landlines (60205), phones that are off (60223), unknown reasons and server errors say
/// nothing against a call.
#[tokio::test]
async fn one_call_follows_an_sms_that_failed_for_a_reason_of_its_own() {
    let mut replies: Vec<_> = [
        (403, 60205),
        (403, 60223),
        (400, 60000),
        (403, 60228),
        (404, 1),
        (403, 1),
    ]
    .map(|(status, code)| refused(status, code))
    .into();
    replies.extend([raw(400, "<html>"), raw(404, "")]);
    for status in [500, 502, 503, 504] {
        replies.extend([refused(status, 20500), raw(status, "<html>")]);
    }
    for reply in replies {
        let called = sent(Some(SID), Channel::Call);
        assert_send(vec![reply, created(SID, TO)], called, &["sms", "call"]).await;
    }
}

#[tokio::test]
async fn no_call_follows_a_refusal_that_holds_for_calls_too() {
    use SendError::{Blocked, FraudGuard, InvalidNumber, Misconfigured, RateLimited, TooMany};
    let mut cases = vec![
        // Only Twilio's own codes say that a limit is about the number.
        (raw(429, ""), RateLimited),
        (raw(429, "<html>"), RateLimited),
        (raw(401, ""), Misconfigured),
    ];
    let refusals: [(&[u16], &[i64], SendError); 8] = [
        (&[400], &[60200, 21211, 21614], InvalidNumber),
        (&[403, 429], &[60202, 60203, 60212], TooMany),
        (&[429], &[20429, 25109, 1], RateLimited),
        (&[403, 503], &[20429], RateLimited),
        (&[400, 403, 429, 503], &[60410, 60605], FraudGuard),
        (&[400, 403, 429, 503], &[60238, 21408], Blocked),
        (&[401, 403], &[20003], Misconfigured),
        (&[404], &[20404], Misconfigured),
    ];
    for (statuses, codes, error) in refusals {
        for status in statuses {
            cases.extend(codes.iter().map(|code| (refused(*status, *code), error)));
        }
    }
    cases.push((refused(401, 1), Misconfigured));
    for (reply, error) in cases {
        assert_send(vec![reply], Err(error), &["sms"]).await;
    }
}

/// The SMS may be on its way.
#[tokio::test]
async fn no_call_follows_an_sms_without_a_usable_answer() {
    let mut replies = vec![
        Reply::Silence,
        created(SID, OTHER),
        created(&format!("{SID}\n"), TO),
        raw(201, "<html>"),
        raw(201, ""),
        Reply::Json(201, json!({ "sid": SID })),
        Reply::Json(200, checked("pending")),
    ];
    for sid in ["", "VE1", "VEggggggggggggggggggggggggggggggggg", "../../x"] {
        replies.push(created(sid, TO));
    }
    for bytes in [
        "",
        "HTTP/1.1 201 Cre",
        "no HTTP at all\r\n\r\n",
        "HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"sid\": ",
    ] {
        replies.push(Reply::Raw(bytes.to_owned()));
    }
    for reply in replies {
        assert_send(vec![reply], UNKNOWN, &["sms"]).await;
    }
}

#[tokio::test]
async fn the_call_after_an_sms_has_the_same_results() {
    for (reply, expected) in [
        (refused(500, 20500), Err(SendError::Failed)),
        (refused(429, 60203), Err(SendError::TooMany)),
        (refused(429, 20429), Err(SendError::RateLimited)),
        (Reply::Silence, sent(None, Channel::Call)),
    ] {
        assert_send(vec![refused(403, 60205), reply], expected, &["sms", "call"]).await;
    }
}

#[tokio::test]
async fn a_requested_call_is_made_once_and_sends_no_sms() {
    for (reply, expected) in [
        (created(SID, TO), sent(Some(SID), Channel::Call)),
        (refused(500, 20500), Err(SendError::Failed)),
    ] {
        let peer = Peer::start(vec![reply]).await;
        assert_eq!(peer.client().call(Service::Main, TO).await, expected);
        assert_eq!(peer.channels(), ["call"]);
    }
}

#[tokio::test]
async fn the_risk_check_is_only_named_to_disable_it_and_only_for_sms() {
    for (risk_check, expected) in [
        (RiskCheck::Enable, [None, None]),
        (RiskCheck::Disable, [Some("disable"), None]),
    ] {
        let peer = Peer::start(vec![refused(403, 60205), created(SID, TO)]).await;
        let client = peer.client();
        let result = client
            .send(Service::Main, TO, risk_check, ready(true))
            .await;
        assert_eq!(result, sent(Some(SID), Channel::Call));
        assert_eq!(peer.channels(), ["sms", "call"]);
        let requests = peer.requests();
        let fields: Vec<_> = requests.iter().map(|it| it.field("RiskCheck")).collect();
        assert_eq!(fields, expected, "{risk_check:?}");
    }
}

#[tokio::test]
async fn no_call_follows_an_sms_that_is_blocked_without_the_risk_check() {
    for code in [60410, 60605] {
        let peer = Peer::start(vec![refused(403, code)]).await;
        let (client, disable) = (peer.client(), RiskCheck::Disable);
        let result = client.send(Service::Main, TO, disable, ready(true)).await;
        assert_eq!(result, Err(SendError::FraudGuard));
        assert_eq!(peer.channels(), ["sms"]);
    }
}

/// ASVS 15.3.2
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Peer::start(vec![]).await;
    let location = format!("location: {}\r\n", elsewhere.base_url);
    let redirect = Reply::Raw(http(307, &location, ""));
    let called = sent(Some(SID), Channel::Call);
    assert_send(vec![redirect, created(SID, TO)], called, &["sms", "call"]).await;
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(base.parse().unwrap());
    assert_eq!(
        client
            .send(Service::Main, TO, RiskCheck::Enable, ready(true))
            .await,
        Err(SendError::Failed)
    );
    let verdict = client.check(Service::Main, TO, Some(SID), &code()).await;
    assert_eq!(verdict, Err(CheckError::Unavailable));
    assert_eq!(client.cancel(Service::Main, SID).await, Err(CancelError));
}

/// Counts the connections to a peer that ends or ignores each TLS handshake.
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
    let connect = if hang_up { 10_000 } else { 300 };
    let timeouts = Timeouts {
        connect: Duration::from_millis(connect),
        ..PATIENT
    };
    let client = TwilioVerify::new(settings(base.parse().unwrap()), timeouts).unwrap();
    assert_eq!(
        client
            .send(Service::Main, TO, RiskCheck::Enable, ready(true))
            .await,
        Err(SendError::Failed)
    );
    let mut connections = 0;
    while counted.try_recv().is_ok() {
        connections += 1;
    }
    connections
}

#[tokio::test]
async fn one_call_follows_an_sms_that_got_no_connection() {
    for hang_up in [true, false] {
        assert_eq!(connections_without_tls(hang_up).await, 2, "{hang_up}");
    }
}

#[tokio::test]
async fn an_accepted_sms_is_not_followed_by_a_call_and_64_kib_of_its_answer_are_read() {
    let answer = |length: usize| {
        let mut body = checked("pending");
        body["filler"] = "".into();
        let filler = length - body.to_string().len();
        body["filler"] = "x".repeat(filler).into();
        Reply::Json(201, body)
    };
    for (length, expected) in [
        (64 * 1024, sent(Some(SID), Channel::Sms)),
        (64 * 1024 + 1, UNKNOWN),
    ] {
        assert_send(vec![answer(length)], expected, &["sms"]).await;
    }
}
