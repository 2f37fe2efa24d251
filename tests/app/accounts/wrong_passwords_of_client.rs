//! The limit of wrong passwords by client, over all usernames.

use twostep::models::rate_limit::WRONG_PASSWORDS_PER_CLIENT;

use super::wrong_passwords::{WRONG, assert_too_many, fail};
use crate::support::{PASSWORD, TestApp};

/// Counts wrong passwords from a client, for other usernames.
async fn fill(app: &TestApp, address: &str, times: usize) {
    app.fill(&WRONG_PASSWORDS_PER_CLIENT, address, times).await;
}

/// ASVS 2.3.2, 6.3.1
#[tokio::test]
async fn sixty_wrong_passwords_in_ten_minutes_are_compared_for_one_client() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.register("alice").await;
    let browser = app.browser();
    fill(&app, "127.0.0.1", 58).await;
    fail(&browser, "bob", 1).await;
    app.log_in("alice").await;
    fail(&browser, "carol", 1).await;
    for (name, password) in [("doris", WRONG), ("alice", PASSWORD), ("", "")] {
        let page = browser.log_in(name, password).await;
        assert_too_many(&page, "600", "10 minutes");
    }
    app.advance(599);
    let page = browser.log_in("alice", PASSWORD).await;
    assert_too_many(&page, "1", "1 second");
    app.advance(1);
    browser.complete_login("alice").await;
}

#[tokio::test]
async fn the_limit_by_client_does_not_affect_other_networks() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    fill(&app, "203.0.113.9", 60).await;
    fill(&app, "2001:db8:1:2::/64", 60).await;
    for address in ["203.0.113.9", "2001:db8:1:2::9", "::ffff:203.0.113.9"] {
        let page = app.browser().at(address).log_in("alice", PASSWORD).await;
        assert_too_many(&page, "600", "10 minutes");
    }
    for address in ["203.0.113.8", "2001:db8:1:3::9"] {
        app.browser().at(address).complete_login("alice").await;
    }
}

#[tokio::test]
async fn of_two_exceeded_limits_the_page_names_the_longer_wait() {
    let app = TestApp::behind_proxy().await;
    let browser = app.browser().at("203.0.113.9");
    fail(&browser, "alice", 10).await;
    app.advance(400);
    fill(&app, "203.0.113.9", 50).await;
    let page = browser.log_in("alice", WRONG).await;
    assert_too_many(&page, "500", "9 minutes");
    let page = browser.log_in("bob", WRONG).await;
    assert_too_many(&page, "200", "4 minutes");
}

#[tokio::test]
async fn in_development_the_limit_by_client_does_not_apply_to_this_machine() {
    let app = TestApp::behind_proxy().await;
    for network in ["127.0.0.1", "::/64"] {
        fill(&app, network, 60).await;
    }
    for address in ["127.0.0.1", "::1", "127.9.9.9"] {
        fail(&app.browser().at(address), "alice", 10).await;
    }
    // The limit by username does.
    let page = app.browser().log_in("alice", WRONG).await;
    assert_too_many(&page, "900", "15 minutes");
}
