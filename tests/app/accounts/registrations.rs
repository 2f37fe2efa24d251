//! How many accounts one address may make.

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
async fn a_hundred_an_hour_and_the_next_is_refused() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.fill(&REGISTRATIONS, "127.0.0.1", 98).await;
    let browser = app.browser();
    app.register("alice").await;
    // Neither what the form refuses counts, nor a name that is taken.
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
async fn three_hundred_rejected_ones_an_hour_and_then_not_even_a_right_one() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.fill(&REJECTED_REGISTRATIONS, "127.0.0.1", 297).await;
    app.register("alice").await; // no rejection
    for (name, password) in [("bob", "short"), ("bob", "password1"), ("alice", PASSWORD)] {
        let page = app
            .browser()
            .register(name, "b@example.com", password)
            .await;
        assert_eq!(page.status, 422);
    }
    for password in ["short", PASSWORD] {
        let page = app
            .browser()
            .register("bob", "b@example.com", password)
            .await;
        assert_too_many(&page);
    }
    assert_eq!(app.count(USERS).await, 1);
    app.advance(3600);
    app.register("bob").await;
}

/// ASVS 15.3.4
#[tokio::test]
async fn a_site_registers_ten_times_what_one_of_its_networks_may() {
    let app = TestApp::behind_proxy().await;
    app.fill(&REGISTRATIONS, "2001:db8:1:2::/64", 100).await;
    let register = async |name: &str, address: &str| {
        let email = format!("{name}@example.com");
        let browser = app.browser().at(address);
        browser.register(name, &email, PASSWORD).await
    };
    assert_too_many(&register("alice", "2001:db8:1:2::1").await);
    register("alice", "2001:db8:1:3::1")
        .await
        .redirects_to("/login");
    // The /48 has a bucket of its own, of a thousand.
    app.execute("UPDATE rate_limits SET count = 1000 WHERE capacity = 1000")
        .await;
    assert_too_many(&register("bob", "2001:db8:1:4::1").await);
    register("bob", "2001:db8:2:4::1")
        .await
        .redirects_to("/login");
}

#[tokio::test]
async fn another_address_is_not_held_back_and_in_development_this_machine_neither() {
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
        let page = app
            .browser()
            .at(address)
            .register(name, &email, PASSWORD)
            .await;
        match refused {
            true => assert_too_many(&page),
            false => page.redirects_to("/login"),
        }
    }
}
