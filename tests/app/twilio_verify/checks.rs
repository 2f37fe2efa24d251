//! The client's checks of a code, and its cancellations.

use serde_json::{Value, json};
use twostep::services::twilio_verify::{CancelError, CheckError, Service, Verdict};

use super::peer::{Peer, Reply, http};
use super::{OTHER, OTHER_SID, SID, TO, checked, code, raw, refused, spec};

async fn assert_check(reply: Reply, sid: Option<&str>, expected: Result<Verdict, CheckError>) {
    let case = format!("{reply:?} {sid:?}");
    let peer = Peer::start(vec![reply]).await;
    let result = peer.client().check(Service::Main, TO, sid, &code()).await;
    assert_eq!(result, expected, "{case}");
    assert_eq!(peer.requests().len(), 1, "{case}");
}

#[tokio::test]
async fn a_check_names_the_sid_if_it_is_known_and_the_number_otherwise() {
    for (sid, to) in [(Some(SID), None), (None, Some(TO))] {
        let peer = Peer::start(vec![Reply::Json(200, checked("approved"))]).await;
        let verdict = peer.client().check(Service::Main, TO, sid, &code()).await;
        assert_eq!(verdict, Ok(Verdict::Approved));
        let request = &peer.requests()[0];
        assert_eq!(request.field("VerificationSid"), sid);
        assert_eq!(request.field("To"), to);
        assert_eq!(request.field("Code"), Some("123456"));
    }
}

#[tokio::test]
async fn a_pending_code_is_wrong_even_if_the_answer_calls_it_valid() {
    for valid in [false, true] {
        let mut answer = checked("pending");
        answer["valid"] = valid.into();
        assert_check(Reply::Json(200, answer), Some(SID), Ok(Verdict::Wrong)).await;
    }
}

#[tokio::test]
async fn the_approval_of_another_number_or_verification_is_not_accepted() {
    let unavailable = Err(CheckError::Unavailable);
    let (mut other_to, mut other_sid) = (checked("approved"), checked("approved"));
    other_to["to"] = OTHER.into();
    other_sid["sid"] = OTHER_SID.into();
    for (answer, sid, expected) in [
        (&other_to, Some(SID), unavailable),
        (&other_to, None, unavailable),
        (&other_sid, Some(SID), unavailable),
        // The SID is unknown, so it cannot be compared.
        (&other_sid, None, Ok(Verdict::Approved)),
    ] {
        assert_check(Reply::Json(200, answer.clone()), sid, expected).await;
    }
}

#[tokio::test]
async fn each_refusal_of_a_check_has_its_error() {
    for (reply, error) in [
        (refused(404, 20404), CheckError::Expired),
        (raw(404, ""), CheckError::Expired),
        (refused(429, 60202), CheckError::TooManyWrong),
        // Too many requests, not too many wrong codes.
        (raw(429, ""), CheckError::Unavailable),
        (refused(429, 20429), CheckError::Unavailable),
        (refused(429, 60212), CheckError::Unavailable),
    ] {
        assert_check(reply, Some(SID), Err(error)).await;
    }
}

/// The statuses of an ended verification, besides `approved`.
const ENDED: [(&str, CheckError); 5] = [
    ("expired", CheckError::Expired),
    ("canceled", CheckError::Expired),
    ("deleted", CheckError::Expired),
    ("failed", CheckError::Expired),
    ("max_attempts_reached", CheckError::TooManyWrong),
];

#[tokio::test]
async fn an_ended_verification_has_the_error_of_its_status() {
    for (status, error) in ENDED {
        for http_status in [200, 201] {
            let reply = Reply::Json(http_status, checked(status));
            assert_check(reply, Some(SID), Err(error)).await;
        }
        assert_check(Reply::Json(200, checked(status)), None, Err(error)).await;
        let mut valid = checked(status);
        valid["valid"] = true.into();
        assert_check(Reply::Json(200, valid), Some(SID), Err(error)).await;
    }
}

#[tokio::test]
async fn the_end_of_another_verification_says_nothing() {
    for (status, _) in ENDED {
        for (field, other) in [("to", OTHER), ("sid", OTHER_SID)] {
            let mut answer = checked(status);
            answer[field] = other.into();
            let reply = Reply::Json(200, answer);
            assert_check(reply, Some(SID), Err(CheckError::Unavailable)).await;
        }
    }
}

#[test]
fn each_status_in_twilios_specification_is_known() {
    let mut known: Vec<_> = ENDED.into_iter().map(|(status, _)| status).collect();
    known.extend(["pending", "approved"]);
    known.sort_unstable();
    assert_eq!(spec::check_statuses(), known);
}

#[tokio::test]
async fn any_other_answer_to_a_check_is_unavailable_and_never_approved() {
    let approved = checked("approved").to_string();
    let location = "location: /v2/Services\r\n";
    let mut replies = vec![
        raw(200, "<html>approved</html>"),
        raw(200, "\"approved\""),
        raw(200, ""),
        Reply::Raw(String::new()),
    ];
    for status in [202, 204, 301, 302, 307, 308, 400, 401, 403, 500, 503] {
        replies.push(Reply::Raw(http(status, location, &approved)));
    }
    for status in [
        "Approved",
        "approved ",
        "APPROVED",
        "",
        "converted",
        "Expired",
    ] {
        replies.push(Reply::Json(200, checked(status)));
    }
    for wrong in [json!(true), json!(["approved"]), Value::Null] {
        let mut answer = checked("approved");
        answer["status"] = wrong;
        replies.push(Reply::Json(200, answer));
    }
    let twice = approved.replacen('{', "{\"status\": \"pending\",", 1);
    replies.push(raw(200, &twice));
    let cut = http(200, "", &format!("{approved}    "))
        .trim_end()
        .to_owned();
    replies.push(Reply::Raw(cut));
    for reply in replies {
        assert_check(reply, Some(SID), Err(CheckError::Unavailable)).await;
    }
}

/// ASVS 13.2.6
#[tokio::test]
async fn a_silent_peer_is_given_up_after_the_timeout() {
    let peer = Peer::start(vec![Reply::Silence, Reply::Silence]).await;
    let client = peer.impatient_client();
    let result = client.check(Service::Main, TO, Some(SID), &code()).await;
    assert_eq!(result, Err(CheckError::Unavailable));
    assert_eq!(client.cancel(Service::Main, SID).await, Err(CancelError));
}

/// ASVS 1.3.6
#[tokio::test]
async fn a_malformed_sid_is_never_sent() {
    let peer = Peer::start(vec![]).await;
    let client = peer.client();
    for sid in [
        "",
        "VE1",
        "../../Accounts",
        &format!("{SID}\n"),
        &format!("{SID}?x=y"),
    ] {
        assert_eq!(client.cancel(Service::Main, sid).await, Err(CancelError));
        let result = client.check(Service::Main, TO, Some(sid), &code()).await;
        assert_eq!(result, Err(CheckError::Unavailable));
    }
    assert_eq!(peer.requests().len(), 0);
}

#[tokio::test]
async fn canceling_succeeds_only_if_the_verification_has_ended() {
    let mut other = checked("canceled");
    other["sid"] = OTHER_SID.into();
    let canceled = checked("canceled").to_string();
    for (reply, expected) in [
        (Reply::Json(200, checked("canceled")), Ok(())),
        (refused(404, 20404), Ok(())),
        (Reply::Json(200, checked("pending")), Err(CancelError)),
        (Reply::Json(200, other), Err(CancelError)),
        (raw(200, "<html>"), Err(CancelError)),
        (raw(307, &canceled), Err(CancelError)),
        (refused(500, 20500), Err(CancelError)),
        (Reply::Raw(String::new()), Err(CancelError)),
    ] {
        let peer = Peer::start(vec![reply]).await;
        assert_eq!(peer.client().cancel(Service::Main, SID).await, expected);
        assert_eq!(peer.requests()[0].field("Status"), Some("canceled"));
    }
}
