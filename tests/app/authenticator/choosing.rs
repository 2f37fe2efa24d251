//! Which factor is asked first, and switching.

use super::factor_ids;
use crate::support::{PHONE, TestApp};
use crate::two_factor::{assert_invalid_token, wrong};

#[tokio::test]
async fn a_login_starts_with_the_app_and_then_with_the_factor_that_was_used_last() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let authenticator = app.add_app(&browser, "Work phone").await;
    let sent = app.messages_sent();
    let pending = app.log_in_until_code("alice").await;
    assert!(
        pending
            .get("/verify_2fa")
            .await
            .text()
            .contains("Work phone")
    );
    assert_eq!(app.messages_sent(), sent, "no SMS");
    let page = pending.get("/verify_2fa").await;
    assert_eq!(page.all("button[name=factor]"), ["Use Phone •••• 267"]);
    let phone = page.attributes("button[name=factor]", "value").remove(0);
    pending
        .post("/verify_2fa/use", &[("factor", &phone)])
        .await
        .redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), sent + 1);
    assert_invalid_token(&pending.verify(&authenticator.code(&app)).await);
    pending.verify(&app.last_code()).await.redirects_to("/home");
    // The phone was used last.
    let pending = app.log_in_until_code("alice").await;
    assert_eq!(app.messages_sent(), sent + 2);
    let page = pending.get("/verify_2fa").await;
    assert_eq!(page.all("button[name=factor]"), ["Use Work phone"]);
}

#[tokio::test]
async fn with_two_apps_only_the_code_of_the_one_in_use_counts() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let first = app.add_app(&browser, "First").await;
    let second = app.add_app(&browser, "Second").await;
    let pending = app.log_in_until_code("alice").await;
    let page = pending.get("/verify_2fa").await;
    let (used, other) = match page.text().contains("code that First shows") {
        true => (&first, &second),
        false => (&second, &first),
    };
    if other.code(&app) != used.code(&app) {
        assert_invalid_token(&pending.verify(&other.code(&app)).await);
    }
    let id = page.attributes("button[name=factor]", "value").remove(0);
    pending.post("/verify_2fa/use", &[("factor", &id)]).await;
    pending
        .verify(&other.code(&app))
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn switching_keeps_the_tries_and_the_end() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let authenticator = app.add_app(&browser, "App").await;
    let pending = app.log_in_until_code("alice").await;
    let phone = pending.get("/verify_2fa").await;
    let phone = phone.attributes("button[name=factor]", "value").remove(0);
    for _ in 0..3 {
        let code = wrong(&authenticator.code(&app));
        assert_invalid_token(&pending.verify(&code).await);
    }
    app.advance(100);
    pending
        .post("/verify_2fa/use", &[("factor", &phone)])
        .await
        .redirects_to("/verify_2fa");
    assert_invalid_token(&pending.verify(&wrong(&app.last_code())).await);
    let page = pending.verify(&wrong(&app.last_code())).await;
    assert!(
        page.text()
            .contains("That was your last try for this code.")
    );

    let pending = app.log_in_until_code("alice").await;
    app.advance(400);
    pending.post("/verify_2fa/use", &[("factor", &phone)]).await;
    app.advance(199);
    assert_eq!(pending.get("/verify_2fa").await.status, 200);
    app.advance(1);
    pending.get("/verify_2fa").await.redirects_to("/login");
}

#[tokio::test]
async fn while_an_app_is_in_use_resend_and_call_send_nothing() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.add_app(&browser, "App").await;
    let creates = app.phone().counters().creates;
    let pending = app.log_in_until_code("alice").await;
    for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
        pending.post(path, &[]).await.redirects_to("/verify_2fa");
    }
    assert_eq!(app.phone().counters().creates, creates);
}

#[tokio::test]
async fn a_factor_of_another_user_or_none_is_not_found() {
    let app = TestApp::start().await;
    let mallory = app.with_two_factor("mallory", PHONE).await;
    let foreign = factor_ids(&mallory).await.remove(0);
    app.with_app("alice").await;
    let pending = app.log_in_until_code("alice").await;
    for id in [&*foreign, "", "x", "\u{1}", "'"] {
        let page = pending.post("/verify_2fa/use", &[("factor", id)]).await;
        assert_eq!(page.status, 404, "{id:?}");
    }
    let page = mallory
        .post("/verify_2fa/use", &[("factor", &foreign)])
        .await;
    page.redirects_to("/home");
}

#[tokio::test]
async fn choosing_the_phone_within_thirty_seconds_of_a_code_uses_that_code() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.add_app(&browser, "App").await;
    let first = app.log_in_until_code("alice").await;
    let second = app.log_in_until_code("alice").await;
    let page = first.get("/verify_2fa").await;
    let phone = page.attributes("button[name=factor]", "value").remove(0);
    let sent = app.messages_sent();
    for browser in [&first, &second] {
        browser
            .post("/verify_2fa/use", &[("factor", &phone)])
            .await
            .redirects_to("/verify_2fa");
    }
    assert_eq!(app.messages_sent(), sent + 1);
    second.verify(&app.last_code()).await.redirects_to("/home");
}
