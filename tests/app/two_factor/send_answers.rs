//! Twilio's answers to the request for a code, as the user sees them: when adding a phone, at a
//! login, and when requesting another code.

use twostep::dev::simulator::{BLOCKED, Failure, LANDLINE, SILENT, TOO_MANY, UNAVAILABLE};
use twostep::services::twilio_verify::Channel;

use super::register_and_log_in;
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

const TOO_MANY_CODES: &str = "Too many codes were sent to this number. Try again in 10 minutes.";
const BLOCKED_NUMBER: &str = "We cannot send codes to this number.";
const BLOCKED_BY_FRAUD_GUARD: &str = "The code was blocked to protect your number from fraud. If you are logging in, press “Send it anyway”, or use a recovery code.";
const MISCONFIGURED: &str = "We can't send codes right now.";
const FAILED: &str = "We can't send codes right now. Try again.";

/// A refusal and its effect.
struct Row {
    answer: Failure,
    /// The page's status.
    status: u16,
    retry_after: Option<&'static str>,
    /// The error on the form for a phone.
    sentence: &'static str,
    /// Whether the error is at the form's field.
    at_field: bool,
    /// Requests to Twilio. The second is a call.
    requests: u64,
}

impl Row {
    fn is_fraud_guard(&self) -> bool {
        let code = |code| self.answer == Failure::Status(403, Some(code));
        code(60410) || code(60605)
    }
}

fn rows() -> Vec<Row> {
    let row = |answer, page: (u16, Option<&'static str>), sentence, requests| Row {
        answer,
        status: page.0,
        retry_after: page.1,
        sentence,
        at_field: page.0 == 422,
        requests,
    };
    let refusal = Failure::Status;
    let (invalid, wait) = ((422, None), (429, Some("600")));
    let down = (503, Some("30"));
    vec![
        row(
            refusal(400, Some(60200)),
            invalid,
            "Invalid phone number",
            1,
        ),
        row(
            refusal(400, Some(21211)),
            invalid,
            "Invalid phone number",
            1,
        ),
        row(
            refusal(400, Some(21614)),
            invalid,
            "Invalid phone number",
            1,
        ),
        row(refusal(429, Some(60203)), wait, TOO_MANY_CODES, 1),
        row(refusal(429, Some(60212)), wait, TOO_MANY_CODES, 1),
        row(refusal(429, Some(20429)), down, FAILED, 1),
        row(refusal(429, None), down, FAILED, 1),
        row(refusal(403, Some(60410)), invalid, BLOCKED_NUMBER, 1),
        row(refusal(403, Some(60605)), invalid, BLOCKED_NUMBER, 1),
        row(refusal(400, Some(21408)), invalid, BLOCKED_NUMBER, 1),
        row(refusal(403, Some(60238)), invalid, BLOCKED_NUMBER, 1),
        row(refusal(401, Some(20003)), down, MISCONFIGURED, 1),
        row(refusal(403, Some(20003)), down, MISCONFIGURED, 1),
        row(refusal(404, Some(20404)), down, MISCONFIGURED, 1),
        row(refusal(403, Some(60205)), down, FAILED, 2),
        row(refusal(403, Some(60223)), down, FAILED, 2),
        row(refusal(400, Some(99999)), down, FAILED, 2),
        row(refusal(500, None), down, FAILED, 2),
        row(refusal(503, Some(20503)), down, FAILED, 2),
        row(Failure::Redirect, down, FAILED, 2),
    ]
}

fn creates(app: &TestApp) -> u64 {
    app.phone().counters().creates
}

#[tokio::test]
async fn a_refusal_while_enabling_shows_the_form_again_and_opens_no_challenge() {
    let (app, browser) = register_and_log_in("harry").await;
    for row in rows() {
        app.phone().fail_with(Some(row.answer));
        let before = creates(&app);
        let page = browser.enable(" +1 202 555 0110").await;

        assert_eq!(page.status, row.status, "{:?}", row.answer);
        assert_eq!(
            page.header("retry-after"),
            row.retry_after,
            "{:?}",
            row.answer
        );
        let at_field = page.error_at("verification_phone");
        let expected = row.at_field.then_some(row.sentence);
        assert_eq!(at_field.as_deref(), expected, "{:?}", row.answer);
        assert_eq!(page.alerts(), [row.sentence], "{:?}", row.answer);
        let kept = page.value_of("verification_phone");
        assert_eq!(kept.as_deref(), Some(" +1 202 555 0110"));
        assert_eq!(creates(&app) - before, row.requests, "{:?}", row.answer);

        assert_eq!(app.open_challenges().await, 0);
        browser.get("/verify_2fa").await.redirects_to("/home");
        browser.get("/home").await;
    }
    app.phone().fail_with(None);
    app.enable(&browser, LANDLINE).await;
}

/// The same refusal on the code page.
fn code_page_error(row: &Row) -> &'static str {
    match row.sentence {
        _ if row.is_fraud_guard() => BLOCKED_BY_FRAUD_GUARD,
        _ if row.at_field => BLOCKED_NUMBER,
        FAILED => "We can't send codes right now. Try again, or use a recovery code.",
        other => other,
    }
}

#[tokio::test]
async fn a_refusal_at_a_login_opens_the_code_page_with_its_message() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    for row in rows() {
        app.phone().fail_with(Some(row.answer));
        let before = creates(&app);
        let browser = app.log_in_until_code("harry").await;
        assert_eq!(creates(&app) - before, row.requests, "{:?}", row.answer);

        let page = browser.get("/verify_2fa").await;
        assert_eq!(page.status, 200, "{:?}", row.answer);
        assert_eq!(page.alerts(), [code_page_error(&row)], "{:?}", row.answer);
        // No code was sent, so there is no field for one.
        assert!(page.all("input[name=token]").is_empty());
        let button = match row.is_fraud_guard() {
            true => "Send it anyway",
            false => "Send a code",
        };
        assert_eq!(page.all("form[action='/verify_2fa/resend']"), [button]);
        assert!(!browser.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_refusal_to_send_again_shows_the_code_page_with_its_status() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    let browser = app.log_in_until_code("harry").await;
    let code = app.last_code();
    // The code after one that fraud guard blocked is sent: `fraud_guard.rs`.
    for row in rows().into_iter().filter(|row| !row.is_fraud_guard()) {
        app.phone().fail_with(Some(row.answer));
        for (path, requests) in [
            ("/verify_2fa/resend", row.requests),
            ("/verify_2fa/call", 1),
        ] {
            let before = creates(&app);
            let page = browser.post(path, &[]).await;
            assert_eq!(page.status, row.status, "{path} {:?}", row.answer);
            assert_eq!(page.header("retry-after"), row.retry_after);
            assert_eq!(
                page.alerts(),
                [code_page_error(&row)],
                "{path} {:?}",
                row.answer
            );
            assert_eq!(creates(&app) - before, requests, "{path} {:?}", row.answer);
        }
    }
    // The first code still works.
    app.phone().fail_with(None);
    browser.verify(&code).await.redirects_to("/home");
}

#[tokio::test]
async fn the_page_says_that_a_code_may_take_a_moment_if_twilio_gives_no_usable_answer() {
    for answer in [
        Failure::Silence,
        Failure::Hangup,
        Failure::Garbage,
        Failure::OtherTo,
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("harry", PHONE).await;
        let enabling = app.register_and_log_in("ginny").await;
        app.phone().fail_with(Some(answer));
        let pending = app.log_in_until_code("harry").await;
        enabling.add_phone("+12025550147").await;
        assert_eq!(creates(&app), 3, "no call: {answer:?}");
        for (browser, number) in [(&pending, "•••• 267"), (&enabling, "+12025550147")] {
            let page = browser.get("/verify_2fa").await;
            let sentence = format!("A code is on its way to {number}. It may take a moment.");
            assert_eq!(page.alerts(), [sentence], "{answer:?}");
            assert_eq!(
                page.attributes("form", "action"),
                [
                    "/logout",
                    "/verify_2fa",
                    "/verify_2fa/resend",
                    "/verify_2fa/call",
                    "/verify_2fa/cancel"
                ]
                .split_at(usize::from(number == "•••• 267"))
                .1
            );
        }
    }
}

#[tokio::test]
async fn a_landline_is_called() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(LANDLINE).await;
    assert_eq!(app.last_message().channel, Channel::Call);
    assert_eq!(creates(&app), 2);
    let page = browser.get("/verify_2fa").await;
    let sentence = format!("We are calling {LANDLINE} with your code");
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);

    let pending = app.log_in_until_code("harry").await;
    let page = pending.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We are calling •••• 110 with your code"]);
    pending.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn after_twilio_refused_a_number_another_gets_its_code_at_once() {
    for (status, code) in [(400, 60200), (429, 60203), (403, 60410), (403, 60238)] {
        let (app, browser) = register_and_log_in("harry").await;
        let refusal = Failure::Status(status, Some(code));
        app.phone().fail_with(Some(refusal));
        assert!(browser.enable(OTHER_PHONE).await.status >= 400);
        app.phone().fail_with(None);
        browser.add_phone(PHONE).await;
        assert_eq!(app.last_message().to, PHONE);
        // So does a number that is corrected after a code was sent.
        browser.add_phone(OTHER_PHONE).await;
        assert_eq!(app.messages_sent(), 2);
    }
}

#[tokio::test]
async fn each_demo_number_shows_its_failure() {
    for (number, status, retry_after, sentence, requests) in [
        (BLOCKED, 422, None, BLOCKED_NUMBER, 1),
        (TOO_MANY, 429, Some("600"), TOO_MANY_CODES, 1),
        (UNAVAILABLE, 503, Some("30"), FAILED, 2),
    ] {
        let app = TestApp::start().await;
        let page = app.register_and_log_in("harry").await.enable(number).await;
        let found = (page.status, page.header("retry-after"));
        assert_eq!(found, (status, retry_after), "{number}");
        assert_eq!(page.alerts(), [sentence], "{number}");
        assert_eq!(creates(&app), requests, "{number}");
        assert_eq!(app.messages_sent(), 0, "{number}");
    }
}

#[tokio::test]
async fn a_code_whose_sending_was_not_confirmed_works() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(SILENT).await;
    assert_eq!(creates(&app), 1);
    let page = browser.get("/verify_2fa").await;
    let sentence = format!("A code is on its way to {SILENT}. It may take a moment.");
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);

    let pending = app.browser();
    let page = pending.log_in("harry", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    pending.request_code("/verify_2fa/resend").await;
    pending.verify(&app.last_code()).await.redirects_to("/home");
}
