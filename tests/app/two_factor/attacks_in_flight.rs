//! Attack 18 and its kin: a request of a session, or of half a log-in, is under
//! way while the account changes elsewhere.

use std::sync::Arc;

use tokio::task::JoinHandle;
use twostep::models::challenge::{Challenge, NewChallenge, Purpose};
use twostep::models::session::SessionRow;
use twostep::models::user::User;

use super::slow_twilio::SlowTwilio;
use crate::support::{Browser, NOW, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp, a_client};

const CODE: &str = "123456";

/// Sends the code; the answer waits for Twilio's.
async fn begin(twilio: &SlowTwilio, browser: &Arc<Browser>) -> JoinHandle<Page> {
    let browser = Arc::clone(browser);
    let request = tokio::spawn(async move { browser.verify(CODE).await });
    twilio.check_arrives().await;
    request
}

/// Switches on, with every check answered at once.
async fn enable(twilio: &SlowTwilio, browser: &Browser, phone: &str) {
    twilio.answer(1);
    browser.enable(phone).await.redirects_to("/verify_2fa");
    let page = browser.verify(CODE).await;
    twilio.check_arrives().await;
    assert!(matches!(page.status, 200 | 303), "{}", page.text());
}

async fn alice(twilio: &SlowTwilio, app: &TestApp) -> Browser {
    let alice = app.signed_in("alice").await;
    enable(twilio, &alice, PHONE).await;
    alice
}

#[tokio::test]
async fn attack_18_a_log_in_under_way_dies_with_the_factor_that_it_is_checked_against() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = alice(&twilio, &app).await;
    let half = Arc::new(app.half_logged_in("alice").await);
    let request = begin(&twilio, &half).await;
    let page = alice.post("/disable_2fa", &[]).await;
    page.redirects_to("/user/alice");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!half.is_logged_in().await);
    assert_eq!(app.log_ins().await, 1);
}

#[tokio::test]
async fn attack_18_a_log_in_under_way_dies_when_it_is_given_up_or_begun_again() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let half = Arc::new(app.half_logged_in("alice").await);
    let request = begin(&twilio, &half).await;
    let page = half.copy().post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");

    app.advance(30);
    let half = Arc::new(app.half_logged_in("alice").await);
    let request = begin(&twilio, &half).await;
    app.half_logged_in("alice").await;
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!half.is_logged_in().await);
}

#[tokio::test]
async fn attack_18_a_verification_that_ends_while_its_code_is_checked_is_over() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let half = Arc::new(app.half_logged_in("alice").await);
    app.advance(599);
    let request = begin(&twilio, &half).await;
    app.advance(1);
    twilio.answer(1);
    request.await.unwrap().redirects_to("/login");
    assert!(!half.is_logged_in().await);
}

#[tokio::test]
async fn attack_18_a_revoked_session_does_not_change_the_number_that_it_was_about_to() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = alice(&twilio, &app).await;
    let thief = Arc::new(app.half_logged_in("alice").await);
    twilio.answer(1);
    thief.verify(CODE).await.redirects_to("/home");
    twilio.check_arrives().await;
    thief.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let request = begin(&twilio, &thief).await;
    // Alice sees it, and switches off, which ends all other sessions.
    let page = alice.post("/disable_2fa", &[]).await;
    page.redirects_to("/user/alice");
    twilio.answer(1);
    let page = request.await.unwrap();
    assert_eq!(page.status, 303);
    assert!(!thief.is_logged_in().await);
    assert!(alice.is_logged_in().await);
    assert_eq!(app.phone_of("alice").await, None);
    assert_eq!(app.log_ins().await, 1);
}

#[tokio::test]
async fn attack_18_a_session_that_logged_out_meanwhile_changes_nothing_and_stays_dead() {
    let (twilio, app) = SlowTwilio::start().await;
    let alice = Arc::new(alice(&twilio, &app).await);
    app.advance(30);
    alice.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let request = begin(&twilio, &alice).await;
    let page = alice.copy().post("/logout", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    let page = request.await.unwrap();
    page.redirects_to("/home"); // the log-out gave the verification up
    assert!(!alice.is_logged_in().await);
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));

    // And a re-authentication under way.
    let alice = Arc::new(app.half_logged_in("alice").await);
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
    assert_eq!(app.log_ins().await, 0);
}

#[tokio::test]
async fn attack_18_of_two_sessions_that_change_the_number_the_first_to_be_superseded_loses() {
    let (twilio, app) = SlowTwilio::start().await;
    let first = Arc::new(alice(&twilio, &app).await);
    let second = app.half_logged_in("alice").await;
    twilio.answer(1);
    second.verify(CODE).await.redirects_to("/home");
    twilio.check_arrives().await;
    app.advance(30);
    first.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let request = begin(&twilio, &first).await;
    app.advance(30);
    let page = second.enable("+12025550147").await;
    page.redirects_to("/verify_2fa");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/home");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    twilio.answer(1);
    second.verify(CODE).await.redirects_to("/user/alice");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some("+12025550147"));
    assert!(!first.is_logged_in().await);
}

/// Of five uses of one code at once, Twilio may approve the first and tell the
/// last, sooner, that it knows the code no more.
#[tokio::test]
async fn attack_07_the_one_use_that_is_approved_is_not_ended_by_the_others() {
    let (twilio, app) = SlowTwilio::start().await;
    alice(&twilio, &app).await;
    let half = Arc::new(app.half_logged_in("alice").await);
    let request = begin(&twilio, &half).await;
    twilio.forget_codes();
    for _ in 0..4 {
        let page = half.copy().verify(CODE).await;
        assert!(page.says("That code has expired."));
        twilio.check_arrives().await;
    }
    // There were five checks: no sixth, and no more codes.
    let late = half.copy();
    late.verify(CODE).await.redirects_to("/login");
    app.advance(30);
    let page = late.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/login");
    twilio.answer(1);
    request.await.unwrap().redirects_to("/home");
    assert!(half.is_logged_in().await);
}

/// The password was compared, and before anything came of it the second step
/// was switched on elsewhere: the moment between two statements.
#[tokio::test]
async fn a_password_checked_before_the_factor_changed_opens_nothing_after_it() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    let state = &app.state;
    let checked = async || app.authenticated("alice").await;
    let before = checked().await;
    app.enable(&browser, PHONE).await;
    assert!(!logs_in(&app, &before).await, "without a code");

    let before = checked().await;
    app.enable(&browser, OTHER_PHONE).await;
    assert!(!logs_in(&app, &before).await);
    let sent = app.messages_sent();
    let new = NewChallenge {
        user: &before,
        purpose: Purpose::LogIn,
        phone: PHONE,
        next: None,
        remember: false,
        country: None,
        limits: &state.send_limits(PHONE, &a_client()),
        session: None,
        login: None,
    };
    let opened = Challenge::open(&state.database, &state.verify, &state.metrics, new, NOW).await;
    assert!(opened.unwrap().is_err(), "with a code to the old number");
    assert_eq!(app.messages_sent(), sent);
    assert!(logs_in(&app, &checked().await).await);
}

async fn logs_in(app: &TestApp, user: &User) -> bool {
    let mut connection = app.pool.acquire().await.unwrap();
    let (version, user) = (user.auth_version, &user.id);
    let begun =
        SessionRow::begin_login(&mut connection, user, version, false, &a_client(), NOW).await;
    begun.unwrap().is_some()
}

/// Whichever is first: the log-in is refused, or ended by the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_18_a_log_in_and_the_end_of_its_factor_at_once_leave_no_log_in() {
    let app = TestApp::start().await;
    for name in ["alice", "bella", "carol", "doris", "emily"] {
        let owner = app.with_two_factor(name, PHONE).await;
        let half = app.half_logged_in(name).await;
        let code = app.last_code();
        let (finished, disabled) =
            tokio::join!(half.verify(&code), owner.post("/disable_2fa", &[]));
        // 422: the code was cancelled at Twilio just before it was checked.
        assert!(matches!(finished.status, 303 | 422), "{}", finished.status);
        assert_eq!(disabled.status, 303);
        assert_eq!(app.phone_of(name).await, None);
        assert!(!half.is_logged_in().await);
        assert!(owner.is_logged_in().await);
    }
}
