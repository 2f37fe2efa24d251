use crate::support::{PASSWORD, TestApp};
use crate::two_factor::{assert_invalid_token, wrong};

#[tokio::test]
async fn an_app_s_code_completes_a_login_and_a_reauthentication_without_any_message() {
    let app = TestApp::start().await;
    let (browser, authenticator) = app.with_app("alice").await;
    let creates = app.phone().counters().creates;
    let pending = app.log_in_until_code("alice").await;
    let page = pending.get("/verify_2fa").await;
    assert!(
        page.text()
            .contains("Enter the code that Authenticator app shows."),
        "{}",
        page.text()
    );
    assert!(page.all("form[action='/verify_2fa/resend']").is_empty());
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
    assert!(pending.is_logged_in().await);
    app.advance(600);
    let page = browser.get("/change_password").await;
    page.redirects_to("/reauth?next=%2Fchange_password");
    let fields = [("password", PASSWORD), ("next", "/change_password")];
    browser
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    let page = browser.verify(&authenticator.code(&app)).await;
    page.redirects_to("/change_password");
    assert_eq!(app.phone().counters().creates, creates);
}

/// ASVS 6.5.1, 6.6.1
#[tokio::test]
async fn attack_02_a_code_works_once() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let page = browser.get("/authenticator").await;
    let authenticator = super::Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    let added_with = authenticator.code(&app);
    browser
        .post(
            "/authenticator",
            &[("token", &added_with), ("setup", &setup)],
        )
        .await;
    // Not the code that added the app, nor one of an earlier step.
    let pending = app.log_in_until_code("alice").await;
    assert_invalid_token(&pending.verify(&added_with).await);
    assert_invalid_token(&pending.verify(&authenticator.code_at(&app, -30)).await);
    app.advance(30);
    let code = authenticator.code(&app);
    pending.verify(&code).await.redirects_to("/home");
    let again = app.log_in_until_code("alice").await;
    assert_invalid_token(&again.verify(&code).await);
    app.advance(30);
    again
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn a_clock_may_be_one_step_off_and_not_two() {
    for (ahead, is_right) in [(-60, false), (-30, true), (30, true), (60, false)] {
        let app = TestApp::start().await;
        let (_browser, authenticator) = app.with_app("alice").await;
        app.advance(90);
        let pending = app.log_in_until_code("alice").await;
        let page = pending.verify(&authenticator.code_at(&app, ahead)).await;
        match is_right {
            true => page.redirects_to("/home"),
            false => assert_invalid_token(&page),
        }
    }
}

/// ASVS 6.6.3
#[tokio::test]
async fn attack_06_the_fifth_wrong_code_closes_the_challenge_and_ten_block_the_account() {
    let app = TestApp::start().await;
    let (_browser, authenticator) = app.with_app("alice").await;
    app.add_app(&_browser, "Second").await;
    for round in 1..=2 {
        let pending = app.log_in_until_code("alice").await;
        for _ in 0..4 {
            let code = wrong(&authenticator.code(&app));
            assert_invalid_token(&pending.verify(&code).await);
        }
        let page = pending.verify(&wrong(&authenticator.code(&app))).await;
        assert!(
            page.text()
                .contains("That was your last try for this code."),
            "{round}"
        );
        let page = pending.verify(&authenticator.code(&app)).await;
        page.redirects_to("/login");
    }
    let pending = app.log_in_until_code("alice").await;
    let page = pending.verify(&authenticator.code(&app)).await;
    assert_eq!(page.status, 429);
    assert!(!pending.is_logged_in().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_12_of_twenty_parallel_uses_of_a_code_one_succeeds() {
    let app = TestApp::start().await;
    let (_browser, authenticator) = app.with_app("alice").await;
    let mut browsers = Vec::new();
    for _ in 0..20 {
        browsers.push(app.log_in_until_code("alice").await);
    }
    app.advance(30);
    let code = authenticator.code(&app);
    let mut tasks = tokio::task::JoinSet::new();
    for browser in browsers {
        let code = code.clone();
        tasks.spawn(async move { browser.verify(&code).await.location() == Some("/home") });
    }
    let inside = tasks.join_all().await.into_iter().filter(|it| *it).count();
    assert_eq!(inside, 1);
}

#[tokio::test]
async fn a_code_is_good_on_one_of_two_instances() {
    let app = TestApp::start().await;
    let (_browser, authenticator) = app.with_app("alice").await;
    let here = app.log_in_until_code("alice").await;
    let there = app.log_in_until_code("alice").await;
    let code = authenticator.code(&app);
    here.verify(&code).await.redirects_to("/home");
    assert_invalid_token(&there.verify(&code).await);
}

#[tokio::test]
async fn neither_an_outage_of_twilio_nor_an_exhausted_budget_keeps_anyone_out() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "0")]).await;
    let (_browser, authenticator) = app.with_app("alice").await;
    app.phone()
        .fail_with(Some(twostep::dev::simulator::Failure::Silence));
    let pending = app.log_in_until_code("alice").await;
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn a_recovery_code_replaces_an_app() {
    let app = TestApp::start().await;
    let (_browser, _authenticator) = app.with_app("alice").await;
    let codes = app.recovery_codes("alice").await;
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[0]).await.redirects_to("/home");
    assert_eq!(app.recovery_codes_left("alice").await, 9);
}

/// ASVS 6.3.3
#[tokio::test]
async fn the_log_and_the_activity_name_the_method() {
    let app = TestApp::start().await;
    let (browser, authenticator) = app.with_app("alice").await;
    crate::logs::keep();
    let pending = app.log_in_until_code("alice").await;
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
    let lines = crate::logs::take().join("\n");
    assert!(lines.contains("amr=\"pwd otp\""), "{lines}");
    let page = browser.get("/security").await;
    assert!(
        page.text()
            .contains("Logged in with the password and a code")
    );
}
