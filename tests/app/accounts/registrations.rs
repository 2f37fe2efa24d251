//! The limits on registrations.

use twostep::models::rate_limit::{REGISTRATIONS, REJECTED_REGISTRATIONS};

use super::USERS;
use crate::support::{PASSWORD, Page, TestApp};

#[track_caller]
fn assert_too_many(page: &Page) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some("3600"));
    let sentence = "Too many registrations from your network. Try again in 60 minutes.";
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(page.set_cookie(), None);
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn a_client_registers_a_hundred_accounts_an_hour() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.fill(&REGISTRATIONS, "127.0.0.1", 98).await;
    let browser = app.browser();
    app.register("alice").await;
    // Rejected registrations do not count.
    for (name, password) in [("bob", "short"), ("bob", "password1"), ("alice", PASSWORD)] {
        let page = browser.register(name, "b@example.com", password).await;
        assert_eq!(page.status, 422);
    }
    app.register("carol").await;
    let page = browser.register("bob", "bob@example.com", PASSWORD).await;
    assert_too_many(&page);
    assert_eq!(page.value_of("username").as_deref(), Some("bob"));
    assert_eq!(page.value_of("email").as_deref(), Some("bob@example.com"));
    assert!(!page.body.contains(PASSWORD));
    assert_eq!(app.count(USERS).await, 2);
    app.advance(3600);
    app.register("bob").await;
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn after_300_rejected_registrations_an_hour_even_a_valid_one_is_refused() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.fill(&REJECTED_REGISTRATIONS, "127.0.0.1", 297).await;
    let browser = app.browser();
    app.register("alice").await; // not rejected
    for (name, password) in [("bob", "short"), ("bob", "password1"), ("alice", PASSWORD)] {
        let page = browser.register(name, "b@example.com", password).await;
        assert_eq!(page.status, 422);
    }
    for password in ["short", PASSWORD] {
        let page = browser.register("bob", "b@example.com", password).await;
        assert_too_many(&page);
    }
    assert_eq!(app.count(USERS).await, 1);
    app.advance(3600);
    app.register("bob").await;
}

#[tokio::test]
async fn other_networks_and_in_development_this_machine_are_not_limited() {
    let app = TestApp::behind_proxy().await;
    for network in ["203.0.113.9", "2001:db8:1:2::/64", "127.0.0.1"] {
        app.fill(&REGISTRATIONS, network, 100).await;
    }
    for (name, address, refused) in [
        ("alice", "203.0.113.9", true),
        ("bob", "203.0.113.8", false),
        ("carol", "2001:db8:1:2::9", true),
        ("doris", "2001:db8:1:3::9", false),
        ("emily", "127.0.0.1", false),
    ] {
        let email = format!("{name}@example.com");
        let browser = app.browser().at(address);
        let page = browser.register(name, &email, PASSWORD).await;
        match refused {
            true => assert_too_many(&page),
            false => page.redirects_to("/login"),
        }
    }
}
