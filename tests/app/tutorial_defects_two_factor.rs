//! Defects of the tutorial's app in its second step, each of which would be
//! seen here if it came back.

use twostep::dev::simulator::{BLOCKED, Failure, TOO_MANY};
use twostep::services::twilio_verify::Channel;

use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn there_is_no_return_after_enabling_so_enabled_and_invalid_token_show_together() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let page = browser.verify(&app.last_code()).await;
    assert_eq!(
        page.alerts(),
        ["You have enabled two-factor authentication"]
    );
    assert!(!page.text().contains("Invalid token"));
    assert!(
        browser
            .get("/home")
            .await
            .alerts()
            .iter()
            .all(|it| !it.contains("Invalid"))
    );
}

/// ASVS 2.3.1
#[tokio::test]
async fn missing_session_keys_are_500s() {
    let app = TestApp::start().await;
    let nobody = app.browser();
    let user = app.with_two_factor("harry", PHONE).await;
    for (browser, to) in [(&nobody, "/login?next=%2Fhome"), (&user, "/home")] {
        browser.get("/verify_2fa").await.redirects_to(to);
        browser.verify("123456").await.redirects_to(to);
        for path in [
            "/verify_2fa/resend",
            "/verify_2fa/call",
            "/verify_2fa/cancel",
        ] {
            browser.post(path, &[]).await.redirects_to(to);
        }
    }
    assert!(user.get("/home").await.says("There is no code to enter."));
}

#[tokio::test]
async fn a_missing_next_leads_to_none() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    for next in [None, Some(""), Some("None"), Some("//evil.example")] {
        let browser = app.browser();
        let mut fields = vec![("username", "harry"), ("password", PASSWORD)];
        fields.extend(next.map(|next| ("next", next)));
        let page = browser.post("/login", &fields).await;
        page.redirects_to("/verify_2fa");
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn a_deleted_user_is_a_500() {
    let app = TestApp::start().await;
    let user = app.with_two_factor("harry", PHONE).await;
    let half = app.half_logged_in("harry").await;
    let code = app.last_code();
    app.execute("DELETE FROM users").await;
    for browser in [&user, &half] {
        browser
            .verify(&code)
            .await
            .redirects_to("/login?next=%2Fhome");
        browser
            .get("/home")
            .await
            .redirects_to("/login?next=%2Fhome");
    }
}

#[tokio::test]
async fn the_phone_validator_never_runs_because_of_its_name() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    let page = browser.enable("12345").await;
    assert_eq!(page.status, 422);
    let error = page.error_at("verification_phone");
    assert_eq!(error.as_deref(), Some("Invalid phone number"));
    assert_eq!(app.phone().counters().creates, 0);
}

#[tokio::test]
async fn disabling_fails_after_disabling() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    for sentence in [
        "You have disabled two-factor authentication",
        "Two-factor authentication is off already.",
    ] {
        let page = browser.post("/disable_2fa", &[]).await;
        page.redirects_to("/user/harry");
        assert_eq!(browser.follow(&page).await.alerts(), [sentence]);
    }
    app.enable(&browser, PHONE).await;
}

#[tokio::test]
async fn the_voice_call_follows_any_error_at_all() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    for phone in [BLOCKED, TOO_MANY] {
        browser.enable(phone).await;
    }
    assert_eq!(app.phone().counters().creates, 2, "a text each");
    app.phone()
        .fail_with(Some(Failure::Status(401, Some(20003))));
    app.advance(30);
    browser.enable(PHONE).await;
    assert_eq!(app.phone().counters().creates, 3);
    let calls = app.phone().messages();
    assert!(calls.iter().all(|it| it.channel != Channel::Call));
}

#[tokio::test]
async fn every_error_of_a_check_is_invalid_token() {
    let app = TestApp::start().await;
    app.with_two_factor("harry", PHONE).await;
    let browser = app.half_logged_in("harry").await;
    let code = app.last_code();
    for (answer, sentence) in [
        (
            (404, Some(20404)),
            "That code has expired. Ask for a new one.",
        ),
        ((503, None), "We could not check the code. Try again."),
        (
            (401, Some(20003)),
            "We could not check the code. Try again.",
        ),
    ] {
        app.phone()
            .fail_with(Some(Failure::Status(answer.0, answer.1)));
        let page = browser.verify(&code).await;
        assert_eq!(page.error_at("token").as_deref(), Some(sentence));
        assert!(!page.text().contains("Invalid token"));
    }
}
