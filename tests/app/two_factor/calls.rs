//! Calls: requested, or in place of a failed SMS. They cost more than an SMS, so they have
//! their own budgets.

use twostep::dev::simulator::Failure;
use twostep::models::rate_limit::{CALLS_OF_ACCOUNT, CALLS_TO_NUMBER, budgets};
use twostep::services::twilio_verify::Channel;

use super::two_factor_app;
use crate::support::{OTHER_PHONE, PHONE, TestApp};

const HOUR: u64 = 60 * 60;

const FAILED: &str = "We can't send codes right now. Try again, or use a recovery code.";

impl TestApp {
    /// Every SMS is refused as to a landline, so that a call follows.
    fn refuse_sms(&self) {
        self.phone().fail_with(Some(Failure::RefuseSms));
    }

    async fn calls_of_service(&self) -> (i64, i64) {
        let (now, mut connection) = (self.state.clock.now(), self.pool.acquire().await.unwrap());
        let limit = self.state.config.sms_daily_limit.into();
        let budgets = budgets(&mut connection, limit, now).await.unwrap();
        let calls = budgets
            .iter()
            .find(|(name, ..)| *name == "calls_of_service");
        calls.map(|(_, used, limit)| (*used, *limit)).unwrap()
    }
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn six_fallback_calls_a_day_are_made_even_if_each_code_is_entered() {
    let app = two_factor_app("alice").await;
    app.refuse_sms();
    for _ in 0..6 {
        let browser = app.log_in_until_code("alice").await;
        assert_eq!(app.last_message().channel, Channel::Call);
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
    assert_eq!(app.used_by(&CALLS_OF_ACCOUNT, "alice").await, 6);
    assert_eq!(app.calls_of_service().await, (6, 200));
    let sent = app.messages_sent();
    let browser = app.log_in_until_code("alice").await;
    assert_eq!(app.messages_sent(), sent);
    assert!(browser.get("/verify_2fa").await.says(FAILED));
    // The failed SMS was refunded, and the next day permits calls again.
    app.phone().fail_with(None);
    app.advance(31);
    browser.request_code("/verify_2fa/resend").await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
    app.refuse_sms();
    app.advance(24 * HOUR);
    app.log_in_until_code("alice").await;
    assert_eq!(app.last_message().channel, Channel::Call);
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn many_accounts_get_six_calls_a_day_to_one_number_and_adding_it_counts_apart() {
    let app = two_factor_app("alice").await;
    app.refuse_sms();
    for n in 0..6 {
        app.with_two_factor(&format!("mallory{n}"), PHONE).await;
    }
    let browser = app.register_and_log_in("mallory").await;
    let sent = app.messages_sent();
    assert_eq!(browser.enable(PHONE).await.status, 503);
    assert_eq!(app.messages_sent(), sent);
    // The owner's login has its own calls.
    let alice = app.log_in_until_code("alice").await;
    assert_eq!(app.last_message().channel, Channel::Call);
    alice.verify(&app.last_code()).await.redirects_to("/home");
    for n in 0..5 {
        let mallory = app.log_in_until_code(&format!("mallory{n}")).await;
        mallory.verify(&app.last_code()).await.redirects_to("/home");
    }
    assert_eq!(app.used(&CALLS_TO_NUMBER, PHONE).await, 6);
    let sent = app.messages_sent();
    app.log_in_until_code("mallory5").await;
    assert_eq!(app.messages_sent(), sent);
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn a_fifth_of_the_days_codes_may_be_calls() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "10")]).await;
    app.with_two_factor("alice", PHONE).await;
    app.with_two_factor("bella", OTHER_PHONE).await;
    app.refuse_sms();
    for name in ["alice", "bella"] {
        let browser = app.log_in_until_code(name).await;
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
    assert_eq!(app.calls_of_service().await, (2, 2));
    let sent = app.messages_sent();
    let browser = app.log_in_until_code("alice").await;
    assert_eq!(app.messages_sent(), sent);
    assert!(browser.get("/verify_2fa").await.says(FAILED));
    let page = browser.post("/verify_2fa/call", &[]).await;
    assert_eq!(page.status, 429);
    assert!(page.says("We can't call right now. Ask for a text message instead."));
}

#[tokio::test]
async fn a_failed_call_is_refunded() {
    let app = two_factor_app("alice").await;
    app.phone().fail_with(Some(Failure::Status(500, None)));
    for _ in 0..8 {
        app.log_in_until_code("alice").await;
        app.advance(31);
    }
    assert_eq!(app.used_by(&CALLS_OF_ACCOUNT, "alice").await, 0);
    assert_eq!(app.calls_of_service().await, (0, 200));
}
