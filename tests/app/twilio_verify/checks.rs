//! Checks of a code, and cancellations.

use serde_json::{Value, json};
use twostep::services::twilio_verify::{CancelError, CheckError, Service, Verdict};

use super::peer::{Peer, Reply, http};
use super::{OTHER, OTHER_SID, SID, TO, checked, code, refused};

async fn check_answered(reply: Reply, sid: Option<&str>) -> Result<Verdict, CheckError> {
    let peer = Peer::start(vec![reply]).await;
    let result = peer.client().check(Service::Main, TO, sid, &code()).await;
    assert_eq!(peer.requests().len(), 1);
    result
}

#[tokio::test]
async fn a_check_goes_by_the_sid_where_it_is_known_and_by_the_number_where_not() {
    let answers = vec![
        Reply::Json(200, checked("approved")),
        Reply::Json(200, checked("approved")),
    ];
    let peer = Peer::start(answers).await;
    for sid in [Some(SID), None] {
        let verdict = peer.client().check(Service::Main, TO, sid, &code()).await;
        assert_eq!(verdict, Ok(Verdict::Approved));
    }
    let requests = peer.requests();
    assert_eq!(requests[0].field("VerificationSid"), Some(SID));
    assert_eq!(requests[0].field("To"), None);
    assert_eq!(requests[1].field("VerificationSid"), None);
    assert_eq!(requests[1].field("To"), Some(TO));
    for request in requests {
        assert_eq!(request.field("Code"), Some("123456"));
    }
}

#[tokio::test]
async fn a_code_that_is_pending_is_wrong_even_if_it_is_called_valid() {
    for valid in [false, true] {
        let mut answer = checked("pending");
        answer["valid"] = valid.into();
        let verdict = check_answered(Reply::Json(200, answer), Some(SID)).await;
        assert_eq!(verdict, Ok(Verdict::Wrong));
    }
}

#[tokio::test]
async fn an_approval_of_another_number_or_verification_is_none() {
    let unavailable = Err(CheckError::Unavailable);
    let mut other_to = checked("approved");
    other_to["to"] = OTHER.into();
    for sid in [Some(SID), None] {
        let reply = Reply::Json(200, other_to.clone());
        assert_eq!(check_answered(reply, sid).await, unavailable);
    }
    let mut other_sid = checked("approved");
    other_sid["sid"] = OTHER_SID.into();
    let reply = Reply::Json(200, other_sid.clone());
    assert_eq!(check_answered(reply, Some(SID)).await, unavailable);
    // Not known, so not compared.
    let reply = Reply::Json(200, other_sid);
    assert_eq!(check_answered(reply, None).await, Ok(Verdict::Approved));
}

#[tokio::test]
async fn a_check_of_a_verification_that_is_over_is_expired() {
    let expired = Err(CheckError::Expired);
    assert_eq!(
        check_answered(refused(404, 20404), Some(SID)).await,
        expired
    );
    let without_code = Reply::Raw(http(404, "", ""));
    assert_eq!(check_answered(without_code, None).await, expired);
}

#[tokio::test]
async fn a_check_too_many_is_told_apart_from_requests_too_many() {
    let closed = Err(CheckError::TooManyWrong);
    assert_eq!(check_answered(refused(429, 60202), Some(SID)).await, closed);
    let without_code = Reply::Raw(http(429, "", ""));
    assert_eq!(check_answered(without_code, Some(SID)).await, closed);
    for code in [20429, 60212] {
        let result = check_answered(refused(429, code), Some(SID)).await;
        assert_eq!(result, Err(CheckError::Unavailable));
    }
}

#[tokio::test]
async fn any_other_answer_to_a_check_is_unavailable_and_never_approved() {
    let approved = checked("approved").to_string();
    let location = "location: /v2/Services\r\n";
    let mut replies = vec![
        Reply::Raw(http(200, "", "<html>approved</html>")),
        Reply::Raw(http(200, "", "\"approved\"")),
        Reply::Raw(http(200, "", "")),
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
        "canceled",
        "expired",
        "failed",
    ] {
        replies.push(Reply::Json(200, checked(status)));
    }
    for wrong in [json!(true), json!(["approved"]), Value::Null] {
        let mut answer = checked("approved");
        answer["status"] = wrong;
        replies.push(Reply::Json(200, answer));
    }
    let twice = approved.replacen('{', "{\"status\": \"pending\",", 1);
    replies.push(Reply::Raw(http(200, "", &twice)));
    let cut = http(200, "", &format!("{approved}    "))
        .trim_end()
        .to_owned();
    replies.push(Reply::Raw(cut));
    for reply in replies {
        let result = check_answered(reply, Some(SID)).await;
        assert_eq!(result, Err(CheckError::Unavailable));
    }
}

/// ASVS 13.2.6
#[tokio::test]
async fn a_check_that_is_not_answered_in_time_is_unavailable() {
    let peer = Peer::start(vec![Reply::Silence]).await;
    let client = peer.impatient_client();
    let result = client.check(Service::Main, TO, Some(SID), &code()).await;
    assert_eq!(result, Err(CheckError::Unavailable));
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
async fn cancelling_succeeds_where_the_verification_is_over_afterwards() {
    let mut other = checked("canceled");
    other["sid"] = OTHER_SID.into();
    for (reply, expected) in [
        (Reply::Json(200, checked("canceled")), Ok(())),
        (refused(404, 20404), Ok(())),
        (Reply::Json(200, checked("pending")), Err(CancelError)),
        (Reply::Json(200, other), Err(CancelError)),
        (Reply::Raw(http(200, "", "<html>")), Err(CancelError)),
        (refused(500, 20500), Err(CancelError)),
        (Reply::Raw(String::new()), Err(CancelError)),
    ] {
        let peer = Peer::start(vec![reply]).await;
        assert_eq!(peer.client().cancel(Service::Main, SID).await, expected);
        assert_eq!(peer.requests()[0].field("Status"), Some("canceled"));
    }
}
