//! The demo numbers, each of which simulates a failure, and the failures that tests choose.

use std::future::ready;

use secrecy::SecretString;
use twostep::dev::simulator::{
    BLOCKED, Failure, LANDLINE, SILENT, TOO_MANY, UNAVAILABLE, is_demo_number,
};
use twostep::services::twilio_verify::{
    Channel, CheckError, RiskCheck, SendError, Sent, Service, TwilioVerify, Verdict,
};

use super::peer::IMPATIENT;
use super::simulator::{Demo, wrong};
use super::{TO, sent};

#[tokio::test]
async fn each_demo_number_has_its_behavior() {
    let demo = Demo::start().await;
    let client = &demo.client;
    assert_eq!(demo.create(LANDLINE, "sms").await, (403, 60205));
    let Ok(Sent {
        sid: Some(_),
        channel,
    }) = client
        .send(Service::Main, LANDLINE, RiskCheck::Enable, ready(true))
        .await
    else {
        panic!("no call");
    };
    assert_eq!(channel, Channel::Call);
    assert_eq!(demo.phone.messages()[0].channel, Channel::Call);

    for channel in ["sms", "call"] {
        assert_eq!(demo.create(BLOCKED, channel).await, (403, 60410));
        assert_eq!(demo.create(TOO_MANY, channel).await, (429, 60203));
        assert_eq!(demo.create(UNAVAILABLE, channel).await, (503, 20503));
    }
    for (number, creates, expected) in [
        (BLOCKED, 1, SendError::FraudGuard),
        (TOO_MANY, 1, SendError::TooMany),
        (UNAVAILABLE, 2, SendError::Failed),
    ] {
        let before = demo.phone.counters().creates;
        assert_eq!(
            client
                .send(Service::Main, number, RiskCheck::Enable, ready(true))
                .await,
            Err(expected)
        );
        assert_eq!(demo.phone.counters().creates - before, creates);
    }
    assert_eq!(demo.phone.messages().len(), 1);
}

#[tokio::test]
async fn fraud_guard_lets_an_sms_through_without_the_risk_check() {
    let demo = Demo::start().await;
    assert_eq!(demo.text_with(BLOCKED, "enable").await, (403, 60410));
    assert_eq!(demo.text_with(BLOCKED, "disable").await, (201, 0));
    let (client, disable) = (&demo.client, RiskCheck::Disable);
    let result = client.send(Service::Main, BLOCKED, disable, ready(true));
    let sid = result.await.unwrap().sid.unwrap();
    let message = &demo.phone.messages()[0];
    assert_eq!(
        (message.to.as_str(), message.channel),
        (BLOCKED, Channel::Sms)
    );
    assert_eq!(demo.raw_check(&sid, &message.code).await, (200, 0));
    // The parameter is for SMS only, and has two values.
    let form = [
        ("To", BLOCKED),
        ("Channel", "call"),
        ("RiskCheck", "disable"),
    ];
    let (status, code, _) = demo.post("Verifications", &form).await;
    assert_eq!((status, code), (403, 60410));
    assert_eq!(demo.text_with(BLOCKED, "off").await, (400, 60200));
    // Other refusals are not about risk.
    for (number, refusal) in [
        (LANDLINE, (403, 60205)),
        (TOO_MANY, (429, 60203)),
        (UNAVAILABLE, (503, 20503)),
    ] {
        assert_eq!(demo.text_with(number, "disable").await, refusal);
    }
}

#[tokio::test]
async fn a_failure_that_is_fraud_guards_ends_without_the_risk_check() {
    let demo = Demo::start().await;
    for (code, is_fraud_guards) in [
        (60410, true),
        (60605, true),
        (60238, false),
        (21408, false),
        (60203, false),
    ] {
        demo.phone.fail_with(Some(Failure::Status(403, Some(code))));
        let refused = (403, code);
        assert_eq!(demo.create(TO, "sms").await, refused);
        assert_eq!(demo.text_with(TO, "enable").await, refused);
        let expected = if is_fraud_guards { (201, 0) } else { refused };
        assert_eq!(demo.text_with(TO, "disable").await, expected, "{code}");
        assert_eq!(demo.create(TO, "call").await, refused);
    }
    assert_eq!(demo.phone.messages().len(), 2);
}

#[tokio::test]
async fn a_failed_check_has_the_status_that_a_test_wants() {
    let demo = Demo::start().await;
    let (sid, code) = demo.text().await;
    for (status, result) in [
        ("expired", Err(CheckError::Expired)),
        ("max_attempts_reached", Err(CheckError::TooManyWrong)),
    ] {
        demo.phone.fail_with(Some(Failure::CheckStatus(status)));
        assert_eq!(demo.check(&sid, &code).await, result);
    }
    demo.phone.fail_with(None);
    assert_eq!(demo.check(&sid, &code).await, Ok(Verdict::Approved));
}

#[tokio::test]
async fn the_silent_number_gets_a_code_that_can_be_checked_by_number() {
    let demo = Demo::start().await;
    let impatient = TwilioVerify::new(demo.phone.settings(), IMPATIENT).unwrap();
    let result = impatient
        .send(Service::Main, SILENT, RiskCheck::Enable, ready(true))
        .await;
    assert_eq!(result, sent(None, Channel::Sms));
    assert_eq!(demo.phone.counters().creates, 1);
    let message = &demo.phone.messages()[0];
    assert_eq!(message.to, SILENT);
    let code = SecretString::from(message.code.clone());
    let verdict = demo.client.check(Service::Main, SILENT, None, &code).await;
    assert_eq!(verdict, Ok(Verdict::Approved));
}

#[tokio::test]
async fn no_limit_applies_to_a_demo_number() {
    let demo = Demo::start().await;
    for _ in 0..6 {
        assert_eq!(demo.create(LANDLINE, "call").await, (201, 0));
    }
    let code = demo.latest_code();
    for entered in [wrong(&code); 6] {
        let entered = SecretString::from(entered);
        let verdict = demo
            .client
            .check(Service::Main, LANDLINE, None, &entered)
            .await;
        assert_eq!(verdict, Ok(Verdict::Wrong));
    }
    for number in [LANDLINE, BLOCKED, TOO_MANY, UNAVAILABLE, SILENT] {
        assert!(is_demo_number(number));
    }
    assert!(!is_demo_number("+12025550109") && !is_demo_number("+12025550115"));
}
