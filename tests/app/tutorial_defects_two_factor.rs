//! Defects of the tutorial's app in two-factor authentication. The tests of `two_factor`
//! cover its other ones: an unused validator, a second disabling, a call after every error,
//! and "Invalid token" for every error.

use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn enabling_shows_no_invalid_token_beside_its_message() {
    let app = TestApp::start().await;
    let browser = app.signed_in("harry").await;
    browser.add_phone(PHONE).await;
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
async fn a_session_without_a_challenge_is_redirected() {
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
async fn a_missing_next_leads_home() {
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
async fn a_deleted_user_is_logged_out() {
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
