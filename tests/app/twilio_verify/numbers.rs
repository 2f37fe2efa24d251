//! The number in Twilio's answers.

use std::future::ready;

use twostep::services::twilio_verify::{
    Channel, CheckError, RiskCheck, Service, Verdict, is_same_number,
};

use super::peer::{Peer, Reply};
use super::{SID, TO, UNKNOWN, checked, code, created, sent};

/// Ways to write [`TO`].
const SAME: [&str; 9] = [
    TO,
    " +12025550123 ",
    "+1 202 555 0123",
    "+1\u{a0}202\u{a0}555\u{a0}0123",
    "+1 (202) 555-0123",
    "+1.202.555.0123",
    "0012025550123",
    "00 1 202-555-0123",
    "+ 1 2025550123",
];

const OTHERS: [&str; 20] = [
    "",
    "+",
    "00",
    "+12025550199",
    "+1202555012",
    "+120255501230",
    "+22025550123",
    "+44 1202 5550123",
    // Without a prefix, it may be a number of another country.
    "12025550123",
    "2025550123",
    "012025550123",
    "+012025550123",
    "+0012025550123",
    "00012025550123",
    "++12025550123",
    "+1+2025550123",
    "+12025550123;ext=1",
    "+1202555012३",
    "tel:+12025550123",
    "+12025550123,+12025550199",
];

#[test]
fn a_number_is_the_same_in_any_format_and_no_other_number_is() {
    for text in SAME {
        assert!(
            is_same_number(text, TO) && is_same_number(TO, text),
            "{text}"
        );
    }
    for text in OTHERS {
        assert!(!is_same_number(text, TO), "{text}");
        assert!(!is_same_number(TO, text), "{text}");
    }
    // Two texts without a number are not the same number.
    for text in ["", "+", "12025550123", "alice@example.com"] {
        assert!(!is_same_number(text, text), "{text}");
    }
}

#[tokio::test]
async fn an_answer_to_a_send_may_format_the_number() {
    for (to, expected) in SAME
        .map(|to| (to, sent(Some(SID), Channel::Sms)))
        .into_iter()
        .chain(OTHERS.map(|to| (to, UNKNOWN)))
    {
        let peer = Peer::start(vec![created(SID, to)]).await;
        let result = peer
            .client()
            .send(Service::Main, TO, RiskCheck::Enable, ready(true))
            .await;
        assert_eq!(result, expected, "{to}");
    }
}

#[tokio::test]
async fn an_answer_to_a_check_may_format_the_number() {
    for (to, expected) in SAME
        .map(|to| (to, Ok(Verdict::Approved)))
        .into_iter()
        .chain(OTHERS.map(|to| (to, Err(CheckError::Unavailable))))
    {
        for sid in [Some(SID), None] {
            let mut answer = checked("approved");
            answer["to"] = to.into();
            let peer = Peer::start(vec![Reply::Json(200, answer)]).await;
            let result = peer.client().check(Service::Main, TO, sid, &code()).await;
            assert_eq!(result, expected, "{to} {sid:?}");
        }
    }
}
