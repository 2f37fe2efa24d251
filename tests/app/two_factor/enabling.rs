//! Turning two-factor authentication on and off, and changing the number.

use reqwest::Method;
use twostep::dev::simulator::Counters;

use super::{assert_gone, assert_retry_after, register_and_log_in, two_factor_login};
use twostep::models::rate_limit::{FACTOR_CHANGES, NUMBERS_OF_ACCOUNT};

use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

/// ASVS 1.3.3, 2.2.1, 2.2.2
#[tokio::test]
async fn an_invalid_phone_number_is_an_error_at_its_field_and_sends_nothing() {
    let (app, browser) = register_and_log_in("harry").await;
    for typed in [
        "",
        "+",
        "none",
        "0720227267",
        "254720227267x",
        "+2547202272",
        "+254720227267890",
        "+12025550110 ext. 5",
        "+12025550110;ext=5",
        "+12025550110,5",
        "tel:+12025550110",
        "+1800FLOWERS",
        "+18002345678",     // toll free
        "+449098790000",    // premium rate
        "+227 09 12 34 56", // premium rate, because of its zero
        "+800 12345678",    // no country
        "+881 612345678",   // satellite
        "+870 301234567",   // satellite
        "+882 3421234",     // international network
        "+883 510012345",   // international network
        "+44 7012 345678",  // personal number
        "+41 878 123 456",  // personal number
        "<b>+254720227267</b>",
        "\"><script>",
    ] {
        let page = browser.enable(typed).await;
        assert_eq!(page.status, 422, "{typed}");
        let error = page.error_at("verification_phone");
        assert_eq!(error.as_deref(), Some("Invalid phone number"), "{typed}");
        let kept = page.value_of("verification_phone");
        assert_eq!(kept.as_deref(), Some(typed));
    }
    let page = browser.post("/enable_2fa", &[]).await;
    assert_eq!(page.status, 422);
    assert_eq!(app.phone().counters(), Counters::default());
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 0);
}

#[tokio::test]
async fn a_stored_number_that_would_be_refused_today_still_receives_login_codes() {
    for stored in ["+447012345678", "+881612345678"] {
        let app = TestApp::start().await;
        app.with_two_factor("harry", PHONE).await;
        app.set_phone("harry", stored).await;
        app.advance(31);
        let browser = app.log_in_until_code("harry").await;
        assert_eq!(app.last_message().to, stored);
        let page = browser.verify(&app.last_code()).await;
        page.redirects_to("/home");
    }
}

#[tokio::test]
async fn a_number_is_kept_as_e164_however_it_was_typed() {
    for (typed, stored) in [
        ("+254 (720) 227-267", PHONE),
        ("\t+1.202.555.0147 ", "+12025550147"),
        ("+49 (0)1512 3456789", OTHER_PHONE),
        ("+39 06 9784 1234", "+390697841234"),
    ] {
        let app = TestApp::start().await;
        let browser = app.register_and_log_in("harry").await;
        browser.add_phone(typed).await;
        assert_eq!(app.last_message().to, stored);
        assert_eq!(app.phone_of("harry").await, None, "not verified yet");
        assert_eq!(browser.verify(&app.last_code()).await.status, 200);
        assert_eq!(app.phone_of("harry").await.as_deref(), Some(stored));
    }
}

#[tokio::test]
async fn a_country_that_is_not_allowed_is_refused_and_sends_nothing() {
    let app = TestApp::with(&[("SMS_COUNTRIES", "KE, US")]).await;
    let browser = app.register_and_log_in("harry").await;
    // Canada and the Vatican share their codes with other countries.
    for typed in [OTHER_PHONE, "+1 416 555 0110", "+39 06 698 12345"] {
        let page = browser.enable(typed).await;
        assert_eq!(page.status, 422);
        let error = page.error_at("verification_phone");
        assert_eq!(
            error.as_deref(),
            Some("We cannot send codes to this number.")
        );
        assert_eq!(page.value_of("verification_phone").as_deref(), Some(typed));
    }
    assert_eq!(app.phone().counters(), Counters::default());
    browser.add_phone(PHONE).await;
}

/// ASVS 6.5.6
#[tokio::test]
async fn the_old_number_stays_until_the_new_one_is_verified() {
    let (app, browser) = two_factor_login("harry").await;
    let form = browser.get("/enable_2fa").await;
    assert_eq!(
        form.first("h1").as_deref(),
        Some("Change your phone number")
    );
    assert!(form.text().contains("•••• 267") && !form.body.contains("720227267"));

    browser.add_phone(OTHER_PHONE).await;
    let code = app.last_code();
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(PHONE));

    let page = browser.verify(&code).await;
    page.redirects_to("/user/harry");
    let profile = browser.follow(&page).await;
    assert!(profile.says("You have changed your phone number"));
    assert!(profile.text().contains("•••• 789"));
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(OTHER_PHONE));

    let next = app.log_in_until_code("harry").await;
    assert_eq!(app.last_message().to, OTHER_PHONE);
    next.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_canceled_change_of_number_keeps_the_old_one() {
    let (app, browser) = two_factor_login("harry").await;
    browser.add_phone(OTHER_PHONE).await;
    let code = app.last_code();
    let cancelled = browser.post("/verify_2fa/cancel", &[]).await;
    cancelled.redirects_to("/user/harry");
    assert!(browser.is_logged_in().await);
    browser.get("/verify_2fa").await.redirects_to("/home");
    browser.verify(&code).await.redirects_to("/home");
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(PHONE));
    assert_eq!(app.open_challenges().await, 0);
}

/// ASVS 6.5.6
#[tokio::test]
async fn disabling_deletes_the_number_and_the_password_alone_logs_in() {
    let (app, browser) = two_factor_login("harry").await;
    let page = browser.post("/disable_2fa", &[]).await;
    page.redirects_to("/user/harry");
    assert!(
        browser
            .follow(&page)
            .await
            .says("You have disabled two-factor authentication")
    );
    assert_eq!(app.phone_of("harry").await, None);
    let sent = app.messages_sent();
    let next = app.browser();
    next.complete_login("harry").await;
    assert_eq!(app.messages_sent(), sent);
}

#[tokio::test]
async fn disabling_twice_changes_nothing_and_says_so() {
    let (app, browser) = register_and_log_in("harry").await;
    let cookie = browser.session_cookie();
    for method in [Method::GET, Method::POST] {
        let page = match method {
            Method::GET => browser.get("/disable_2fa").await,
            _ => browser.post("/disable_2fa", &[]).await,
        };
        page.redirects_to("/user/harry");
        let profile = browser.follow(&page).await;
        assert!(profile.says("Two-factor authentication is already off."));
    }
    assert_eq!(browser.session_cookie(), cookie);
    assert_eq!(app.count("SELECT auth_version FROM users").await, 1);
}

/// ASVS 7.4.3, 8.3.2
#[tokio::test]
async fn every_change_of_the_factor_ends_the_other_sessions_and_renews_this_one() {
    let (app, browser) = register_and_log_in("harry").await;
    for change in ["enable", "change", "disable"] {
        let elsewhere = app.browser();
        let page = elsewhere.log_in("harry", PASSWORD).await;
        if page.location() == Some("/verify_2fa") {
            let page = elsewhere.verify(&app.last_code()).await;
            page.redirects_to("/home");
        }
        assert!(elsewhere.is_logged_in().await);
        let bystander = app.register_and_log_in(&format!("other-{change}")).await;

        if change == "disable" {
            let before = browser.copy();
            browser
                .post("/disable_2fa", &[])
                .await
                .redirects_to("/user/harry");
            assert!(!before.is_logged_in().await, "the old cookie still works");
        } else {
            let phone = match change {
                "enable" => PHONE,
                _ => OTHER_PHONE,
            };
            let first = browser.copy();
            browser.add_phone(phone).await;
            assert!(!first.is_logged_in().await, "the old cookie still works");
            let second = browser.copy();
            let page = browser.verify(&app.last_code()).await;
            assert!(page.set_cookie().is_some(), "{change}");
            assert!(!second.is_logged_in().await, "the old cookie still works");
        }
        assert!(browser.is_logged_in().await, "{change}");
        assert!(!elsewhere.is_logged_in().await, "{change}");
        assert!(bystander.is_logged_in().await, "{change}");
    }
}

#[tokio::test]
async fn changing_the_number_or_disabling_ends_pending_logins() {
    for change in ["change", "disable"] {
        let app = TestApp::start().await;
        let browser = app.with_two_factor("harry", PHONE).await;
        if change == "change" {
            browser.add_phone(OTHER_PHONE).await;
            let change = app.last_code();
            // A login that begins meanwhile doesn't close the change.
            let pending = app.log_in_until_code("harry").await;
            let code = app.last_code();
            browser.verify(&change).await.redirects_to("/user/harry");
            assert_eq!(app.phone_of("harry").await.as_deref(), Some(OTHER_PHONE));
            assert_gone(&pending, &code).await;
        } else {
            let pending = app.log_in_until_code("harry").await;
            let code = app.last_code();
            browser
                .post("/disable_2fa", &[])
                .await
                .redirects_to("/user/harry");
            assert_gone(&pending, &code).await;
        }
        assert_eq!(app.open_challenges().await, 0);
    }
}

/// ASVS 7.5.1, 7.5.3
#[tokio::test]
async fn changes_of_the_factor_require_a_recent_authentication() {
    let (app, browser) = register_and_log_in("harry").await;
    app.advance(599);
    assert_eq!(browser.get("/enable_2fa").await.status, 200);
    app.advance(1);
    let page = browser.get("/enable_2fa").await;
    page.redirects_to("/reauth?next=%2Fenable_2fa");
    let page = browser.enable(PHONE).await;
    page.redirects_to("/reauth?next=%2Fenable_2fa");
    assert_eq!(app.messages_sent(), 0);

    let form = browser.follow(&page).await;
    assert_eq!(form.value_of("next").as_deref(), Some("/enable_2fa"));
    let fields = [("password", PASSWORD), ("next", "/enable_2fa")];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/enable_2fa");
    app.enable(&browser, PHONE).await;

    // With a second factor the password alone is not enough.
    app.advance(600);
    let stale = "/reauth?next=%2Fdisable_2fa";
    browser.get("/disable_2fa").await.redirects_to(stale);
    browser.post("/disable_2fa", &[]).await.redirects_to(stale);
    let fields = [("password", PASSWORD), ("next", "/disable_2fa")];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa");
    browser.post("/disable_2fa", &[]).await.redirects_to(stale);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/disable_2fa");
    assert_eq!(browser.follow(&page).await.status, 200);
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(PHONE));
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn ten_changes_of_factors_an_hour_are_permitted_and_no_eleventh() {
    let (app, alice) = register_and_log_in("alice").await;
    let id = app.user("alice").await.id;
    app.fill(&FACTOR_CHANGES, id.as_str(), 9).await;
    app.enable(&alice, PHONE).await;
    assert_eq!(app.used_by(&FACTOR_CHANGES, "alice").await, 10);
    let sent = app.messages_sent();
    let page = alice.enable(OTHER_PHONE).await;
    assert_retry_after(&page, "3600");
    let sentence = "Too many changes of two-factor authentication. Try again in 60 minutes.";
    assert!(page.says(sentence), "{}", page.text());
    assert_eq!(app.messages_sent(), sent);
    // A number that got no code does not count as tried.
    assert_eq!(app.used_by(&NUMBERS_OF_ACCOUNT, "alice").await, 0);
    app.advance(3600);
    alice.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    alice.verify(&app.last_code()).await.redirects_to("/home");
    alice.add_phone(OTHER_PHONE).await;
    // A resend is not another change.
    app.advance(31);
    alice.request_code("/verify_2fa/resend").await;
    assert_eq!(app.used_by(&FACTOR_CHANGES, "alice").await, 1);
}
