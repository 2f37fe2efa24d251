//! Wrong passwords from a known device have their own limit (OWASP: device cookies).

use twostep::models::rate_limit::WRONG_PASSWORDS_PER_CLIENT;

use super::{COOKIE, log_out, with_device_of};
use crate::support::{Browser, PASSWORD, TestApp};

const WRONG: &str = "a wrong one";
const HOME: &str = "203.0.113.9";
const ELSEWHERE: &str = "198.51.100.7";

async fn fail(browser: &Browser, username: &str, times: usize) {
    for number in 1..=times {
        let page = browser.log_in(username, WRONG).await;
        assert_eq!(page.status, 422, "{username}, {number}");
    }
}

async fn assert_limited(browser: &Browser, username: &str) {
    for password in [WRONG, PASSWORD] {
        let page = browser.log_in(username, password).await;
        assert_eq!(page.status, 429);
        assert!(page.text().contains("Too many wrong passwords."));
    }
}

/// alice's browser at home, logged out.
async fn owner(app: &TestApp) -> Browser {
    app.register("alice").await;
    let owner = app.browser().at(HOME);
    owner.complete_login("alice").await;
    log_out(&owner).await;
    owner
}

/// ASVS 6.1.1, 6.3.1
#[tokio::test]
async fn attack_a_neighbor_behind_the_same_address_does_not_lock_the_owner_out() {
    let app = TestApp::behind_proxy().await;
    let owner = owner(&app).await;
    let neighbor = app.browser().at(HOME);
    fail(&neighbor, "alice", 10).await;
    assert_limited(&neighbor, "alice").await;
    app.fill(&WRONG_PASSWORDS_PER_CLIENT, HOME, 50).await;
    assert_limited(&neighbor, "bob").await;
    fail(&owner, "alice", 9).await;
    owner.complete_login("alice").await;
    // Reauthentication has the same limit.
    owner.reauth(PASSWORD).await.redirects_to("/home");
    assert_eq!(owner.reauth(WRONG).await.status, 422);
    assert_eq!(owner.reauth(PASSWORD).await.status, 429);
}

#[tokio::test]
async fn attack_guesses_with_a_stolen_device_cookie_are_limited_and_hold_no_one_else_back() {
    let app = TestApp::behind_proxy().await;
    let owner = owner(&app).await;
    let thief = with_device_of(&app, &owner).at(ELSEWHERE);
    fail(&thief, "alice", 10).await;
    assert_limited(&thief, "alice").await;
    let elsewhere = with_device_of(&app, &owner).at("192.0.2.1");
    assert_limited(&elsewhere, "alice").await;
    // Without the cookie the owner has the limit of the network.
    let other = app.browser().at(HOME);
    other.complete_login("alice").await;
    log_out(&other).await;
    app.advance(899);
    assert_limited(&owner, "alice").await;
    app.advance(1);
    owner.complete_login("alice").await;
}

#[tokio::test]
async fn attack_the_cookie_of_another_account_or_of_none_gives_no_other_limit() {
    let app = TestApp::behind_proxy().await;
    owner(&app).await;
    app.register("mallory").await;
    let mallory = app.browser().at(ELSEWHERE);
    mallory.complete_login("mallory").await;
    log_out(&mallory).await;
    let forger = app.browser().at(ELSEWHERE);
    for number in 0..10 {
        forger.set_cookie(COOKIE, &format!("{number:043}"));
        let guesser = if number % 2 == 0 { &mallory } else { &forger };
        fail(guesser, "alice", 1).await;
    }
    forger.set_cookie(COOKIE, &"b".repeat(43));
    assert_limited(&mallory, "alice").await;
    assert_limited(&forger, "alice").await;
    mallory.complete_login("mallory").await;
}

#[tokio::test]
async fn the_limit_by_device_is_ten_in_fifteen_minutes() {
    let app = TestApp::behind_proxy().await;
    let owner = owner(&app).await;
    fail(&owner, "alice", 4).await;
    owner.complete_login("alice").await;
    log_out(&owner).await;
    fail(&owner, "Alice ", 6).await;
    let page = owner.log_in("alice", PASSWORD).await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (429, Some("900"))
    );
    app.advance(900);
    owner.complete_login("alice").await;
}
