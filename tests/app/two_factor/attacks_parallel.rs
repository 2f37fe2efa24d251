//! Attacks that send many requests at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{assert_gone, pending_login, register_and_log_in, two_factor_app, wrong};
use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

/// Sends one token from many browsers at once.
async fn all_at_once(browsers: Vec<Browser>, token: &str) -> Vec<(Browser, Page)> {
    let mut tasks = JoinSet::new();
    let token: Arc<str> = token.into();
    for browser in browsers {
        let token = Arc::clone(&token);
        tasks.spawn(async move {
            let page = browser.verify(&token).await;
            (browser, page)
        });
    }
    tasks.join_all().await
}

fn copies(browser: &Browser, number: usize) -> Vec<Browser> {
    (0..number).map(|_| browser.copy()).collect()
}

/// ASVS 6.6.3, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_06_twenty_browsers_that_guess_at_once_get_five_answers() {
    let (app, pending) = pending_login("alice").await;
    let code = app.last_code();
    let before = app.phone().counters();
    for (_, page) in all_at_once(copies(&pending, 20), &wrong(&code)).await {
        assert!(matches!(page.status, 422 | 303), "{}", page.status);
    }
    assert_eq!(app.phone().counters().checks - before.checks, 5);
    assert_gone(&pending, &code).await;
    assert_eq!(app.phone().counters().checks - before.checks, 5);
}

/// ASVS 2.3.4, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_fifty_uses_of_a_code_at_once_exactly_one_logs_in() {
    for _ in 0..5 {
        let app = TestApp::start().await;
        app.with_two_factor("alice", PHONE).await;
        let pending = app.log_in_until_code("alice").await;
        let (logins, checks) = (app.logins().await, app.phone().counters().checks);

        let answers = all_at_once(copies(&pending, 50), &app.last_code()).await;
        let mut inside = 0;
        for (browser, page) in &answers {
            assert!(matches!(page.status, 303 | 422), "{}", page.status);
            let is_in = page.location() == Some("/home");
            assert_eq!(browser.is_logged_in().await, is_in);
            inside += usize::from(is_in);
        }
        assert_eq!(inside, 1);
        assert_eq!(app.logins().await, logins + 1);
        assert!(app.phone().counters().checks - checks <= 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_twenty_uses_of_a_code_at_once_exactly_one_enables() {
    let (app, alice) = register_and_log_in("alice").await;
    alice.add_phone(PHONE).await;
    let answers = all_at_once(copies(&alice, 20), &app.last_code()).await;
    let mut enabled = 0;
    for (browser, page) in &answers {
        assert!(matches!(page.status, 200 | 303 | 422), "{}", page.status);
        enabled += usize::from(page.status == 200);
        assert_eq!(browser.is_logged_in().await, page.status == 200);
    }
    assert_eq!(enabled, 1);
    assert_eq!(app.count("SELECT auth_version FROM users").await, 2);
    assert_eq!(app.logins().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_12_parallel_requests_send_one_code() {
    let (app, pending) = pending_login("alice").await;
    app.advance(30);
    let before = app.phone().counters().creates;
    let mut tasks = JoinSet::new();
    for browser in copies(&pending, 20) {
        tasks.spawn(async move { browser.post("/verify_2fa/resend", &[]).await.status });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers[0], 303);
    assert!(
        answers[1..].iter().all(|status| *status == 429),
        "{answers:?}"
    );
    assert_eq!(app.phone().counters().creates - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_12_parallel_logins_send_one_code() {
    let app = two_factor_app("alice").await;
    let before = app.phone().counters().creates;
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let browser = app.browser();
        tasks.spawn(async move {
            let page = browser.log_in("alice", PASSWORD).await;
            (browser, page)
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(app.phone().counters().creates - before, 1);
    assert_eq!(app.open_challenges().await, 6);
    let mut inside = 0;
    for (browser, page) in answers {
        page.redirects_to("/verify_2fa");
        let page = browser.verify(&app.last_code()).await;
        inside += usize::from(page.location() == Some("/home"));
    }
    assert_eq!(inside, 1);
}
