//! The limits of an account's codes, over all its challenges and sessions.

use tokio::task::JoinSet;
use twostep::dev::simulator::Failure;
use twostep::models::rate_limit::{SENDS_OF_ACCOUNT, WRONG_CODES, budgets};

use super::{assert_invalid_token, assert_retry_after, two_factor_app, two_factor_login, wrong};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const HOUR: u64 = 60 * 60;

/// Enters so many wrong codes, five per login.
async fn enter_wrong_codes(app: &TestApp, times: usize) {
    for _ in 0..times.div_ceil(5) {
        let browser = app.log_in_until_code("alice").await;
        let code = wrong(&app.last_code());
        for _ in 0..5.min(times) {
            let page = browser.verify(&code).await;
            assert_eq!(page.status, 422, "{}", page.text());
            assert!(page.text().contains("Invalid token"));
        }
        app.advance(30);
    }
}

#[track_caller]
fn assert_codes_locked(page: &Page, retry_after: &str, wait: &str) {
    assert_retry_after(page, retry_after);
    let sentence = format!(
        "Too many wrong codes were entered for this account. Try again in {wait}, \
         or use a recovery code."
    );
    assert_eq!(page.alerts(), [sentence]);
}

/// ASVS 2.3.2, 6.6.3
#[tokio::test]
async fn after_ten_wrong_codes_in_an_hour_not_even_the_right_one_is_accepted() {
    let app = two_factor_app("alice").await;
    enter_wrong_codes(&app, 10).await; // at 0 and 30 seconds
    let browser = app.log_in_until_code("alice").await;
    let checks = app.phone().counters().checks;
    let page = browser.verify(&app.last_code()).await;
    assert_codes_locked(&page, "3540", "59 minutes");
    assert!(page.all("input[name=token]").is_empty());
    assert_eq!(page.all("form[action='/verify_2fa/resend']"), [""; 0]);
    assert_eq!(page.all("a[href='/verify_2fa/recovery']").len(), 1);
    assert_eq!(app.phone().counters().checks, checks, "no code was checked");
    // The page says so at once, and the attempt was not counted.
    let page = browser.get("/verify_2fa").await;
    assert!(page.says("Too many wrong codes"));
    app.advance(5);
    let page = browser.verify(&app.last_code()).await;
    assert_codes_locked(&page, "3535", "59 minutes");
    assert!(!browser.is_logged_in().await);

    // The window ends an hour after its first attempt.
    app.advance(3534);
    let browser = app.log_in_until_code("alice").await;
    let page = browser.verify(&app.last_code()).await;
    assert_codes_locked(&page, "1", "1 second");
    app.advance(1);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 2.3.2, 6.6.3
#[tokio::test]
async fn after_twenty_wrong_codes_in_a_day_no_code_is_accepted() {
    let app = two_factor_app("alice").await;
    for _ in 0..2 {
        enter_wrong_codes(&app, 10).await;
        app.advance(HOUR);
    }
    let browser = app.log_in_until_code("alice").await;
    let page = browser.verify(&app.last_code()).await;
    // A day after the first of the twenty: 2 × (60 s + 1 h) have passed.
    assert_codes_locked(&page, "79080", "22 hours");
    app.advance(79_080);
    let browser = app.log_in_until_code("alice").await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn the_right_code_refunds_the_wrong_ones() {
    let app = two_factor_app("alice").await;
    for _ in 0..4 {
        enter_wrong_codes(&app, 5).await;
        let browser = app.log_in_until_code("alice").await;
        for _ in 0..4 {
            let page = browser.verify(&wrong(&app.last_code())).await;
            assert_invalid_token(&page);
        }
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn wrong_codes_count_over_all_purposes() {
    let (app, inside) = two_factor_login("alice").await;
    enter_wrong_codes(&app, 5).await;
    inside.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    for _ in 0..5 {
        inside.verify(&wrong(&app.last_code())).await;
    }
    app.advance(30);
    inside.add_phone(OTHER_PHONE).await;
    let page = inside.verify(&app.last_code()).await;
    assert_eq!(page.status, 429);
    assert!(page.says("Too many wrong codes were entered for this account. Try again in"));
    assert!(!page.text().contains("recovery code"), "not while enabling");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

/// ASVS 6.6.3
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_06_guesses_from_fifty_browsers_in_many_logins_reach_twilio_ten_times() {
    let app = two_factor_app("alice").await;
    let before = app.phone().counters().checks;
    for _ in 0..4 {
        let pending = app.log_in_until_code("alice").await;
        let code = wrong(&app.last_code());
        let mut tasks = JoinSet::new();
        for browser in (0..50).map(|_| pending.copy()) {
            let code = code.clone();
            tasks.spawn(async move { browser.verify(&code).await.status });
        }
        for status in tasks.join_all().await {
            assert!(matches!(status, 422 | 303 | 429), "{status}");
        }
        app.advance(30);
    }
    assert_eq!(app.phone().counters().checks - before, 10);
    assert_eq!(app.used_by(&WRONG_CODES, "alice").await, 10);
}

#[tokio::test]
async fn attack_21_wrong_codes_of_another_user_do_not_count_for_alice() {
    let app = two_factor_app("alice").await;
    app.with_two_factor("mallory", OTHER_PHONE).await;
    for _ in 0..2 {
        app.advance(30);
        let browser = app.browser();
        browser.log_in("mallory", PASSWORD).await;
        for _ in 0..5 {
            browser.verify(&wrong(&app.last_code())).await;
        }
    }
    let browser = app.log_in_until_code("alice").await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// Begins so many logins without entering a code.
async fn leave_logins(app: &TestApp, times: usize) {
    for _ in 0..times {
        let sent = app.messages_sent();
        let browser = app.log_in_until_code("alice").await;
        assert_eq!(app.messages_sent(), sent + 1);
        // Otherwise the next login would use the same code.
        browser.post("/verify_2fa/cancel", &[]).await;
        app.advance(30);
    }
}

async fn held_back(app: &TestApp, minutes: &str) -> Browser {
    let sent = app.messages_sent();
    let browser = app.log_in_until_code("alice").await;
    assert_eq!(app.messages_sent(), sent);
    let page = browser.get("/verify_2fa").await;
    let sentence = format!(
        "Too many codes were sent for this account. Try again in {minutes}, \
         or use a recovery code."
    );
    assert_eq!(page.alerts(), [sentence]);
    assert!(page.all("input[name=token]").is_empty());
    assert_eq!(page.all("a[href='/verify_2fa/recovery']").len(), 1);
    browser
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn six_unentered_codes_an_hour_are_sent_and_no_seventh() {
    let app = two_factor_app("alice").await;
    leave_logins(&app, 6).await; // from 0 to 150 seconds
    let browser = held_back(&app, "57 minutes").await;
    let page = browser.post("/verify_2fa/resend", &[]).await;
    assert_retry_after(&page, "3420");
    let page = browser.post("/verify_2fa/call", &[]).await;
    assert_eq!(page.status, 429);

    app.advance(3419);
    held_back(&app, "1 second").await;
    app.advance(1);
    leave_logins(&app, 6).await; // the next window takes six again
    held_back(&app, "23 hours").await; // twelve a day
}

#[tokio::test]
async fn sends_count_over_all_ways_to_request_a_code() {
    let (app, inside) = two_factor_login("alice").await;
    let browser = app.log_in_until_code("alice").await; // 1
    for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
        app.advance(30);
        browser.request_code(path).await; // 2, 3
    }
    app.advance(30);
    inside.reauth(PASSWORD).await.redirects_to("/verify_2fa"); // 4
    inside.add_phone(OTHER_PHONE).await; // 5
    app.advance(30);
    leave_logins(&app, 1).await; // 6
    held_back(&app, "58 minutes").await;
    app.advance(30);
    let page = inside.enable(OTHER_PHONE).await;
    assert_retry_after(&page, "3420");
    assert!(page.says("Too many codes were sent for this account. Try again in 57 minutes."));
}

#[tokio::test]
async fn the_right_code_refunds_all_sends_of_its_challenge() {
    let app = two_factor_app("alice").await;
    for _ in 0..5 {
        let browser = app.log_in_until_code("alice").await;
        for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
            app.advance(30);
            browser.request_code(path).await;
        }
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 0);
}

#[tokio::test]
async fn a_code_carried_over_to_another_login_counts_once_and_is_refunded() {
    let app = two_factor_app("alice").await;
    app.log_in_until_code("alice").await;
    let again = app.log_in_until_code("alice").await;
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 1);
    again.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 0);
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn six_calls_a_day_are_made_and_no_seventh() {
    let app = two_factor_app("alice").await;
    for calls in 0..7 {
        // The SMS fails, so that the account's limit of codes is not reached first.
        app.phone().fail_with(Some(Failure::Status(500, None)));
        let browser = app.log_in_until_code("alice").await;
        app.phone().fail_with(None);
        app.advance(30);
        let page = browser.get("/verify_2fa").await;
        let offered = page.all("form[action='/verify_2fa/call']").len();
        assert_eq!(offered, usize::from(calls < 6));
        let page = browser.post("/verify_2fa/call", &[]).await;
        if calls < 6 {
            page.redirects_to("/verify_2fa");
        } else {
            assert_eq!(page.status, 429);
            assert_eq!(page.header("retry-after"), Some("64590"));
            assert!(page.says("We have called you too often. Ask for a text message instead."));
            browser.request_code("/verify_2fa/resend").await;
            browser.verify(&app.last_code()).await.redirects_to("/home");
        }
        app.advance(HOUR);
    }
}

#[tokio::test]
async fn a_failure_of_ours_or_of_twilio_is_refunded() {
    for failure in [
        Failure::Status(500, None),
        Failure::Status(429, Some(20429)),
        Failure::Status(401, Some(20003)),
    ] {
        let app = two_factor_app("alice").await;
        app.phone().fail_with(Some(failure));
        for _ in 0..8 {
            let browser = app.log_in_until_code("alice").await;
            let page = browser.get("/verify_2fa").await;
            assert!(page.says("We can't send codes right now."), "{failure:?}");
            app.advance(30);
        }
        app.phone().fail_with(None);
        let browser = app.log_in_until_code("alice").await;
        browser.verify(&app.last_code()).await.redirects_to("/home");
        let (now, mut connection) = (app.state.clock.now(), app.pool.acquire().await.unwrap());
        let spent = budgets(&mut connection, 1000, now).await.unwrap();
        let expected = [
            ("sends_of_service", 2, 1000), // enabling, and this one
            ("sends_to_new_numbers", 2, 500),
            ("calls_of_service", 0, 200),
        ];
        assert_eq!(spent, expected, "{failure:?}");
    }
}
