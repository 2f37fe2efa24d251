//! A simulator that answers something other than Twilio would.

use std::future::ready;

use secrecy::SecretString;
use twostep::dev::simulator::Failure;
use twostep::services::twilio_verify::{
    CancelError, Channel, CheckError, SendError, Service, Verdict,
};

use super::simulator::{Demo, wrong};
use super::{TO, sent};

#[tokio::test]
async fn a_hostile_peer_never_gets_a_code_approved() {
    for failure in [
        Failure::Status(200, None),
        Failure::Status(500, None),
        Failure::Status(401, Some(20003)),
        Failure::Hangup,
        Failure::Garbage,
        Failure::Redirect,
        Failure::OtherTo,
        Failure::OtherSid,
    ] {
        let demo = Demo::start().await;
        let (sid, code) = demo.text().await;
        demo.phone.fail_with(Some(failure));
        for entered in [code.as_str(), wrong(&code)] {
            let result = demo.check(&sid, entered).await;
            assert_eq!(result, Err(CheckError::Unavailable), "{failure:?}");
        }
        assert_eq!(demo.phone.counters().followed, 0);
        demo.phone.fail_with(None);
        assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Approved));
    }
}

#[tokio::test]
async fn a_cancelling_that_is_not_confirmed_is_an_error() {
    for failure in [
        Failure::Status(500, None),
        Failure::Hangup,
        Failure::Garbage,
        Failure::Redirect,
        Failure::OtherSid,
    ] {
        let demo = Demo::start().await;
        let (sid, _) = demo.text().await;
        demo.phone.fail_with(Some(failure));
        let result = demo.client.cancel(Service::Main, &sid).await;
        assert_eq!(result, Err(CancelError), "{failure:?}");
    }
}

#[tokio::test]
async fn a_peer_that_calls_a_pending_code_valid_gets_it_refused() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    demo.phone.fail_with(Some(Failure::PendingButValid));
    assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Wrong));
    let form = [("VerificationSid", sid.as_str()), ("Code", code.as_str())];
    let (_, _, body) = demo.post("VerificationCheck", &form).await;
    assert_eq!(
        (&body["status"], &body["valid"]),
        (&"pending".into(), &true.into())
    );
}

#[tokio::test]
async fn a_silent_peer_is_waited_for_no_longer_than_the_time_out() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    demo.phone.fail_with(Some(Failure::Silence));
    let client = demo.impatient_client();
    let code = SecretString::from(code);
    let result = client.check(Service::Main, TO, Some(&sid), &code).await;
    assert_eq!(result, Err(CheckError::Unavailable));
    assert_eq!(client.cancel(Service::Main, &sid).await, Err(CancelError));
    let result = client.send(Service::Main, TO, ready(true)).await;
    assert_eq!(result, sent(None, Channel::Sms));
}

#[tokio::test]
async fn a_hostile_peers_sends_are_unknown_or_failed_by_the_same_table() {
    for (failure, creates, expected) in [
        (Failure::Hangup, 1, sent(None, Channel::Sms)),
        (Failure::Garbage, 1, sent(None, Channel::Sms)),
        (Failure::OtherTo, 1, sent(None, Channel::Sms)),
        (Failure::Redirect, 2, Err(SendError::Failed)),
        (Failure::Status(500, None), 2, Err(SendError::Failed)),
        (
            Failure::Status(403, Some(60410)),
            1,
            Err(SendError::Blocked),
        ),
    ] {
        let demo = Demo::start().await;
        demo.phone.fail_with(Some(failure));
        let result = demo.client.send(Service::Main, TO, ready(true)).await;
        assert_eq!(result, expected, "{failure:?}");
        assert_eq!(demo.phone.counters().creates, creates, "{failure:?}");
        assert_eq!(demo.phone.counters().followed, 0);
    }
}
