//! Attack 18 and similar ones: the account changes while a request of a session, or of a
//! pending login, is in flight.

use std::sync::Arc;

use tokio::task::JoinHandle;
use twostep::models::challenge::{Challenge, NewChallenge, Purpose};

use super::register_and_log_in;
use super::slow_twilio::SlowTwilio;
use crate::support::{Browser, NOW, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp, a_client};

const CODE: &str = "123456";

/// Sends the code. The answer waits for Twilio's.
async fn begin(twilio: &SlowTwilio, browser: &Arc<Browser>) -> JoinHandle<Page> {
    let browser = Arc::clone(browser);
    let request = tokio::spawn(async move { browser.verify(CODE).await });
    twilio.check_arrives().await;
    request
}

/// Enables, with every check answered at once.
async fn enable(twilio: &SlowTwilio, browser: &Browser, phone: &str) {
    twilio.answer(1);
    browser.add_phone(phone).await;
    let page = browser.verify(CODE).await;
    twilio.check_arrives().await;
    assert!(matches!(page.status, 200 | 303), "{}", page.text());
}

async fn alice(twilio: &SlowTwilio, app: &TestApp) -> Browser {
    let alice = app.register_and_log_in("alice").await;
    enable(twilio, &alice, PHONE).await;
    alice
}

#[tokio::test]
async fn attack_18_a_login_in_flight_fails_once_its_factor_is_removed() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = alice(&twilio, &app).await;
    let pending = Arc::new(app.log_in_until_code("alice").await);
    let request = begin(&twilio, &pending).await;
    let page = alice.post("/disable_2fa", &[]).await;
    page.redirects_to("/user/alice");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!pending.is_logged_in().await);
    assert_eq!(app.logins().await, 1);
}

#[tokio::test]
async fn attack_18_a_login_in_flight_fails_once_it_is_canceled_or_superseded() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let pending = Arc::new(app.log_in_until_code("alice").await);
    let request = begin(&twilio, &pending).await;
    let page = pending.copy().post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");

    app.advance(30);
    let pending = Arc::new(app.log_in_until_code("alice").await);
    let request = begin(&twilio, &pending).await;
    let page = pending.copy().log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!pending.is_logged_in().await);
}

#[tokio::test]
async fn attack_18_a_challenge_that_expires_during_the_check_logs_nobody_in() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let pending = Arc::new(app.log_in_until_code("alice").await);
    app.advance(599);
    let request = begin(&twilio, &pending).await;
    app.advance(1);
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!pending.is_logged_in().await);
}

#[tokio::test]
async fn attack_18_a_revoked_session_in_flight_does_not_change_the_number() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = alice(&twilio, &app).await;
    let thief = Arc::new(app.log_in_until_code("alice").await);
    twilio.answer(1);
    thief.verify(CODE).await.redirects_to("/home");
    twilio.check_arrives().await;
    thief.add_phone(OTHER_PHONE).await;
    let request = begin(&twilio, &thief).await;
    // Alice notices it and disables, which ends all other sessions.
    let page = alice.post("/disable_2fa", &[]).await;
    page.redirects_to("/user/alice");
    twilio.answer(1);
    let page = request.await.unwrap();
    assert_eq!(page.status, 303);
    assert!(!thief.is_logged_in().await);
    assert!(alice.is_logged_in().await);
    assert_eq!(app.phone_of("alice").await, None);
    assert_eq!(app.logins().await, 1);
}

#[tokio::test]
async fn attack_18_a_session_that_logged_out_in_flight_changes_nothing() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = Arc::new(alice(&twilio, &app).await);
    app.advance(30);
    alice.add_phone(OTHER_PHONE).await;
    let request = begin(&twilio, &alice).await;
    let page = alice.copy().post("/logout", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    let page = request.await.unwrap();
    page.redirects_to("/home"); // the logout closed the challenge
    assert!(!alice.is_logged_in().await);
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));

    // The same for a reauthentication in flight.
    let alice = Arc::new(app.log_in_until_code("alice").await);
    twilio.answer(1);
    alice.verify(CODE).await.redirects_to("/home");
    twilio.check_arrives().await;
    let page = alice.post("/reauth", &[("password", PASSWORD)]).await;
    page.redirects_to("/verify_2fa");
    let request = begin(&twilio, &alice).await;
    let page = alice.copy().post("/logout", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    request.await.unwrap();
    assert!(!alice.is_logged_in().await);
    assert_eq!(app.logins().await, 0);
}

#[tokio::test]
async fn attack_18_a_superseded_change_of_number_in_flight_fails() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = Arc::new(alice(&twilio, &app).await);
    alice.add_phone(OTHER_PHONE).await;
    let request = begin(&twilio, &alice).await;
    let later = alice.copy();
    later.add_phone("+12025550147").await;
    twilio.answer(1);
    request.await.unwrap().redirects_to("/home");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    twilio.answer(1);
    later.verify(CODE).await.redirects_to("/user/alice");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some("+12025550147"));
}

/// Of five parallel checks of one code, Twilio may approve the first, and answer the others
/// sooner that the code has expired.
#[tokio::test]
async fn attack_07_expired_checks_do_not_end_the_approved_one() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let pending = Arc::new(app.log_in_until_code("alice").await);
    let request = begin(&twilio, &pending).await;
    twilio.forget_codes();
    for _ in 0..4 {
        let page = pending.copy().verify(CODE).await;
        assert!(page.says("That code has expired."));
        twilio.check_arrives().await;
    }
    // There were five checks: no sixth, and no more codes.
    let late = pending.copy();
    late.verify(CODE).await.redirects_to("/login");
    app.advance(30);
    let page = late.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/home");
    assert!(pending.is_logged_in().await);
}

/// Two-factor authentication is enabled between the check of a password and the login.
#[tokio::test]
async fn a_password_checked_before_the_factor_changed_logs_nobody_in() {
    let (app, browser) = register_and_log_in("alice").await;
    let state = &app.state;
    let checked = async || app.authenticated("alice").await;
    let before = checked().await;
    app.enable(&browser, PHONE).await;
    assert!(!app.begins_login(&before).await, "without a code");

    let before = checked().await;
    app.enable(&browser, OTHER_PHONE).await;
    assert!(!app.begins_login(&before).await);
    let sent = app.messages_sent();
    let new = NewChallenge {
        user: &before,
        purpose: Purpose::LogIn,
        factor: None,
        phone: Some(PHONE),
        next: None,
        session: None,
        login: None,
    };
    let sender = state.code_sender(Some(PHONE), &a_client());
    let opened = Challenge::open(&sender, new, NOW).await;
    assert!(opened.unwrap().is_err(), "with a code to the old number");
    assert_eq!(app.messages_sent(), sent);
    assert!(app.begins_login(&checked().await).await);
}

/// Whichever comes first: the login is refused, or the change ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_18_a_login_parallel_to_the_removal_of_its_factor_leaves_no_login() {
    let app = TestApp::start().await;
    for name in ["alice", "bella", "carol", "doris", "emily"] {
        let owner = app.with_two_factor(name, PHONE).await;
        let pending = app.log_in_until_code(name).await;
        let code = app.last_code();
        let (finished, disabled) =
            tokio::join!(pending.verify(&code), owner.post("/disable_2fa", &[]));
        // 422: the code was canceled at Twilio just before the check.
        assert!(matches!(finished.status, 303 | 422), "{}", finished.status);
        assert_eq!(disabled.status, 303);
        assert_eq!(app.phone_of(name).await, None);
        assert!(!pending.is_logged_in().await);
        assert!(owner.is_logged_in().await);
    }
}
