//! A clock that was ahead at the last start, and is right now.

use super::{ATTACKER, DAY, HOUR, assert_limited};
use crate::support::{BEHIND_PROXY, OTHER_PHONE, PASSWORD, Page, TestApp};

/// Measured before: "Try again in 87601 hours".
///
/// ASVS 2.4.1
#[tokio::test]
async fn a_clock_that_was_ahead_causes_no_wait_longer_than_the_limit() {
    // Within a UTC day, sent codes stay counted.
    let all = "UPDATE rate_limits SET count = capacity";
    let others = "UPDATE rate_limits SET count = capacity WHERE expires_at % 86400 <> 0";
    for (ahead, exhaust) in [(2 * HOUR, others), (3650 * DAY, all)] {
        let app = TestApp::with_users(&[("SMS_DAILY_LIMIT", "12")]).await;
        let right = app.state.clock.now();
        app.advance(ahead);
        // Harry and a stranger exhaust limits.
        let [harry, _] = app.users_log_in().await;
        let email = [("email", "harry@example.com")];
        for number in 0..11 {
            for address in ["198.51.100.7", ATTACKER] {
                let browser = app.browser().at(address);
                let page = browser.log_in("harry", "a wrong one").await;
                assert_eq!(page.status, if number < 10 { 422 } else { 429 });
                let page = browser.post("/reset_password_request", &email).await;
                assert_eq!(page.status, if number < 10 { 303 } else { 429 });
            }
        }
        harry.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
        let page = harry.post("/verify_2fa/resend", &[]).await;
        assert_eq!(page.status, 429);
        app.execute(exhaust).await;
        let page = app.browser().at(ATTACKER).log_in("harry", PASSWORD).await;
        assert_limited(&page, "", DAY);

        let settings = [BEHIND_PROXY, ("SMS_DAILY_LIMIT", "12")];
        let app = app.restarted_at(right, &settings).await;
        let [harry, _] = app.users_log_in().await;
        app.enable(&harry, OTHER_PHONE).await;
        let stranger = app.attacker("ginny", ATTACKER).await;
        assert!(stranger.is_logged_in().await);
        let browser = app.browser().at("198.51.100.7");
        let page = browser.post("/reset_password_request", &email).await;
        page.redirects_to("/login");
        // A limit that is exceeded now lasts as long as usual.
        for _ in 0..10 {
            let page = stranger_guesses(&app).await;
            assert_eq!(page.status, 422);
        }
        assert_limited(
            &stranger_guesses(&app).await,
            "Too many wrong passwords.",
            HOUR / 4,
        );
        let harry = app.browser().at("198.51.100.7");
        let page = harry.log_in("harry", PASSWORD).await;
        page.redirects_to("/verify_2fa");
    }
}

/// A stolen session could change the password for two hours otherwise.
///
/// ASVS 7.5.1
#[tokio::test]
async fn a_login_of_the_future_is_not_recent() {
    let app = TestApp::with_users(&[]).await;
    let right = app.state.clock.now();
    app.advance(2 * HOUR);
    let harry = app.harry_logs_in().await;
    assert_eq!(harry.get("/change_password").await.status, 200);
    let app = app.restarted_at(right, &[BEHIND_PROXY]).await;
    let harry = harry.copy_to(app.address);
    let page = harry.get("/change_password").await;
    page.redirects_to("/reauth?next=%2Fchange_password");
    harry.reauth(PASSWORD).await.redirects_to("/home");
    assert_eq!(harry.get("/change_password").await.status, 200);
}

async fn stranger_guesses(app: &TestApp) -> Page {
    let browser = app.browser().at(ATTACKER);
    browser.log_in("harry", "a wrong one").await
}
