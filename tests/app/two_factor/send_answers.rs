//! What Twilio may answer to "send a code", as the person sees it: while
//! enabling, at a log-in, and when asking again.

use twostep::dev::simulator::{BLOCKED, Failure, LANDLINE, SILENT, TOO_MANY, UNAVAILABLE};
use twostep::services::twilio_verify::Channel;

use crate::support::{OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const TOO_MANY_CODES: &str = "Too many codes were sent to this number. Try again in 10 minutes.";
const BLOCKED_NUMBER: &str = "We cannot send codes to this number.";
const MISCONFIGURED: &str = "Codes cannot be sent at the moment.";
const FAILED: &str = "Codes cannot be sent at the moment. Try again.";

/// A refusal, and what becomes of it.
struct Row {
    answer: Failure,
    /// Of a page that says so.
    status: u16,
    retry_after: Option<&'static str>,
    /// What the form for enabling says.
    sentence: &'static str,
    /// The form's field at which it stands, if it is about the number.
    at_field: bool,
    /// Requests to Twilio: the second is the call.
    requests: u64,
}

fn rows() -> Vec<Row> {
    let row = |status, code, page: (u16, Option<&'static str>), sentence, requests| Row {
        answer: Failure::Status(status, code),
        status: page.0,
        retry_after: page.1,
        sentence,
        at_field: page.0 == 422,
        requests,
    };
    let (invalid, wait) = ((422, None), (429, Some("600")));
    let down = (503, Some("30"));
    let mut rows = vec![
        row(400, Some(60200), invalid, "Invalid phone number", 1),
        row(400, Some(21211), invalid, "Invalid phone number", 1),
        row(400, Some(21614), invalid, "Invalid phone number", 1),
        row(429, Some(60203), wait, TOO_MANY_CODES, 1),
        row(429, Some(60212), wait, TOO_MANY_CODES, 1),
        row(429, Some(20429), wait, TOO_MANY_CODES, 1),
        row(429, None, wait, TOO_MANY_CODES, 1),
        row(403, Some(60410), invalid, BLOCKED_NUMBER, 1),
        row(403, Some(60605), invalid, BLOCKED_NUMBER, 1),
        row(400, Some(21408), invalid, BLOCKED_NUMBER, 1),
        row(403, Some(60238), invalid, BLOCKED_NUMBER, 1),
        row(401, Some(20003), down, MISCONFIGURED, 1),
        row(403, Some(20003), down, MISCONFIGURED, 1),
        row(404, Some(20404), down, MISCONFIGURED, 1),
        row(403, Some(60205), down, FAILED, 2),
        row(403, Some(60223), down, FAILED, 2),
        row(400, Some(99999), down, FAILED, 2),
        row(500, None, down, FAILED, 2),
        row(503, Some(20503), down, FAILED, 2),
    ];
    rows.push(Row {
        answer: Failure::Redirect,
        status: 503,
        retry_after: Some("30"),
        sentence: FAILED,
        at_field: false,
        requests: 2,
    });
    rows
}

fn creates(app: &TestApp) -> u64 {
    app.phone().counters().creates
}

#[tokio::test]
async fn a_refusal_while_enabling_shows_the_form_again_and_leaves_nothing_pending() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
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

        assert_eq!(app.open_verifications().await, 0);
        browser.get("/verify_2fa").await.redirects_to("/home");
        browser.get("/home").await;
    }
    app.phone().fail_with(None);
    app.enable(&browser, LANDLINE).await;
}

/// What a page that asks for a code says of a sending that was refused.
fn said_at_the_code(row: &Row) -> &'static str {
    match row.sentence {
        _ if row.at_field => BLOCKED_NUMBER,
        FAILED => "Codes cannot be sent at the moment. Try again, or use a recovery code.",
        other => other,
    }
}

#[tokio::test]
async fn a_refusal_at_a_log_in_still_opens_the_code_page_which_says_so() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    for row in rows() {
        app.phone().fail_with(Some(row.answer));
        let before = creates(&app);
        let browser = app.half_logged_in("harry").await;
        assert_eq!(creates(&app) - before, row.requests, "{:?}", row.answer);

        let page = browser.get("/verify_2fa").await;
        assert_eq!(page.status, 200, "{:?}", row.answer);
        assert_eq!(page.alerts(), [said_at_the_code(&row)], "{:?}", row.answer);
        // Where nothing was sent there is nothing to enter.
        assert!(page.all("input[name=token]").is_empty());
        assert_eq!(
            page.all("form[action='/verify_2fa/resend']"),
            ["Send a code"]
        );
        assert!(!browser.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_refusal_to_send_again_shows_the_code_page_with_its_status() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", LANDLINE).await;
    let browser = app.half_logged_in("harry").await;
    let code = app.last_code();
    for row in rows() {
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
                [said_at_the_code(&row)],
                "{path} {:?}",
                row.answer
            );
            assert_eq!(creates(&app) - before, requests, "{path} {:?}", row.answer);
        }
    }
    // The code that was sent at first still opens.
    app.phone().fail_with(None);
    browser.verify(&code).await.redirects_to("/home");
}

/// Silence, and answers that tell nothing: a code may be on its way.
#[tokio::test]
async fn where_it_is_unknown_whether_a_code_went_out_the_page_says_that_it_may_take_a_moment() {
    for answer in [
        Failure::Silence,
        Failure::Hangup,
        Failure::Garbage,
        Failure::OtherTo,
    ] {
        let app = TestApp::start().await;
        app.with_two_factor("harry", PHONE).await;
        let enabling = app.signed_in("ginny").await;
        app.phone().fail_with(Some(answer));
        let half = app.half_logged_in("harry").await;
        enabling
            .enable("+12025550147")
            .await
            .redirects_to("/verify_2fa");
        assert_eq!(creates(&app), 3, "no call: {answer:?}");
        for (browser, end) in [(&half, "267"), (&enabling, "147")] {
            let page = browser.get("/verify_2fa").await;
            let sentence = format!("A code is on its way to •••• {end}. It may take a moment.");
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
                .split_at(usize::from(end == "267"))
                .1
            );
        }
    }
}

/// The demo phone's own numbers, which anybody can try.
async fn asked_with(phone: &str) -> (TestApp, Page) {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    let page = browser.enable(phone).await;
    (app, page)
}

#[tokio::test]
async fn a_landline_is_called() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(LANDLINE).await.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().channel, Channel::Call);
    assert_eq!(creates(&app), 2);
    let page = browser.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We are calling •••• 110 with your code"]);
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);

    let half = app.half_logged_in("harry").await;
    let page = half.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We are calling •••• 110 with your code"]);
    half.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_blocked_number_is_refused_and_never_called() {
    let (app, page) = asked_with(BLOCKED).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.alerts(), [BLOCKED_NUMBER]);
    assert_eq!(creates(&app), 1);
    assert_eq!(app.messages_sent(), 0);
}

#[tokio::test]
async fn after_a_number_that_twilio_refused_another_is_sent_its_code_at_once() {
    for refused in [BLOCKED, TOO_MANY] {
        let app = TestApp::start().await;
        let browser = app.signed_in("harry").await;
        assert!(browser.enable(refused).await.status >= 400);
        browser.enable(PHONE).await.redirects_to("/verify_2fa");
        assert_eq!(app.last_message().to, PHONE);
        // Who was sent a code waits all the same.
        let page = browser.enable(OTHER_PHONE).await;
        assert_eq!(page.status, 429);
        assert_eq!(app.messages_sent(), 1);
    }
    // What failed on the way may have been sent.
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    assert_eq!(browser.enable(UNAVAILABLE).await.status, 503);
    assert_eq!(browser.enable(PHONE).await.status, 429);
}

#[tokio::test]
async fn a_number_that_got_too_many_codes_is_told_to_wait() {
    let (app, page) = asked_with(TOO_MANY).await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (429, Some("600"))
    );
    assert_eq!(page.alerts(), [TOO_MANY_CODES]);
    assert_eq!(creates(&app), 1);
}

#[tokio::test]
async fn where_twilio_is_down_the_form_says_so() {
    let (app, page) = asked_with(UNAVAILABLE).await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("30")));
    assert_eq!(page.alerts(), [FAILED]);
    assert_eq!(creates(&app), 2);
}

#[tokio::test]
async fn a_code_whose_sending_was_not_confirmed_works_all_the_same() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(SILENT).await.redirects_to("/verify_2fa");
    assert_eq!(creates(&app), 1);
    let page = browser.get("/verify_2fa").await;
    let sentence = "A code is on its way to •••• 114. It may take a moment.";
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);

    let half = app.browser();
    let page = half.log_in("harry", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let page = half.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/verify_2fa");
    half.verify(&app.last_code()).await.redirects_to("/home");
}
