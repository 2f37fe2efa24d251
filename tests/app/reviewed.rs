//! Regression tests for findings of security reviews that belong to no single feature.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HOST;
use twostep::dev::simulator::{Failure, SILENT};

use crate::support::{PASSWORD, PHONE, TestApp, raw, until};

#[tokio::test]
async fn attack_05_a_request_whose_cookie_becomes_invalid_meanwhile_gets_no_new_one() {
    // The timeout of Twilio is longer than a busy machine needs for a password.
    let app = TestApp::with_timeout(&[], Duration::from_secs(3)).await;
    let alice = app.signed_in("alice").await;
    let thief = alice.copy();
    let before = app.phone().counters().creates;
    let (stolen, ()) = tokio::join!(thief.enable(SILENT), async {
        until(|| app.phone().counters().creates > before).await;
        // Her cookie changes, so the thief's is invalid from then on.
        alice
            .post("/reauth", &[("password", PASSWORD)])
            .await
            .redirects_to("/home");
    });
    stolen.redirects_to("/login?next=%2Fhome");
    assert_eq!(stolen.set_cookie(), None);
    assert!(alice.is_logged_in().await);
    assert!(!thief.is_logged_in().await);
}

/// Another cookie's bytes do not matter.
#[tokio::test]
async fn the_session_cookie_is_read_by_its_exact_name_and_only_if_it_is_sent_once() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await.session_cookie().unwrap();
    let mallory = app.signed_in("mallory").await.session_cookie().unwrap();
    for (cookies, is_logged_in) in [
        (format!("session={alice}; %73ession={mallory}"), true),
        (format!("x=\u{e9}; session={alice}; y=\""), true),
        (format!("session={alice}; session={mallory}"), false),
        (format!("%73ession={alice}"), false),
        (format!("sessions={alice}; a; =; session = {alice}"), false),
    ] {
        let header = format!("Cookie: {cookies}");
        let page = raw::send(app.address, "GET /home", &[&header], b"").await;
        let expected = if is_logged_in { 200 } else { 303 };
        assert_eq!(page.status, expected, "{cookies}");
        assert_eq!(page.body.contains("/user/alice"), is_logged_in, "{cookies}");
    }
}

#[tokio::test]
async fn the_result_of_a_send_is_stored_even_if_the_client_hangs_up() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await;
    let before = app.phone().counters().creates;
    app.phone().fail_with(Some(Failure::Silence));
    let hung_up = tokio::time::timeout(Duration::from_millis(200), alice.enable(PHONE)).await;
    assert!(hung_up.is_err(), "Twilio answered");
    until(|| app.phone().counters().creates > before).await;
    // The app still waits for Twilio, and stores the result.
    let unknown = "SELECT COUNT(*) FROM challenges WHERE delivery = 'unknown'";
    while app.count(unknown).await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_demo_phone_answers_only_under_the_names_of_this_machine() {
    let app = TestApp::start().await;
    let refused = "evil.example evil.example:3000 203.0.113.9 localhost.evil.example";
    let accepted = "localhost localhost:3000 127.0.0.1:3000 [::1]:3000";
    for (hosts, status) in [(refused, 404), (accepted, 200)] {
        for host in hosts.split(' ') {
            let browser = app.browser();
            let request = browser.request(Method::GET, "/dev/phone");
            let page = browser.send(request.header(HOST, host)).await;
            assert_eq!(page.status, status, "{host}");
        }
    }
}

#[tokio::test]
async fn a_challenge_without_a_sent_code_accepts_no_code() {
    let app = TestApp::start().await;
    let _settings = app.with_two_factor("alice", PHONE).await;
    let first = app.half_logged_in("alice").await;
    let code = app.last_code();
    first
        .post("/verify_2fa/cancel", &[])
        .await
        .redirects_to("/login");

    let second = app.half_logged_in("alice").await;
    let page = second.get("/verify_2fa").await;
    assert!(
        page.says("You can ask for another in 30 seconds"),
        "{:?}",
        page.alerts()
    );
    assert!(
        page.all("input[name=token]").is_empty(),
        "no code can be right yet"
    );
    assert_eq!(
        page.attributes("form[action='/verify_2fa/resend']", "method"),
        ["post"]
    );
    let checks = app.phone().counters().checks;
    assert_eq!(second.verify(&code).await.status, 422);
    assert_eq!(app.phone().counters().checks, checks, "Twilio was asked");

    app.advance(30);
    second
        .post("/verify_2fa/resend", &[])
        .await
        .redirects_to("/verify_2fa");
    second.verify(&app.last_code()).await.redirects_to("/home");
}
