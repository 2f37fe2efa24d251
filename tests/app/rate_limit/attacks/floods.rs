//! Requests that cost a hash each, from several addresses at once.

use twostep::models::rate_limit::REJECTED_REGISTRATIONS;

use super::{Flood, HOUR, assert_limited};
use crate::support::hashing::QUEUE;
use crate::support::{PASSWORD, TestApp, until};

const ADDRESSES: usize = 5;
const CONNECTIONS: usize = 16;

fn address(number: usize) -> String {
    format!("203.0.113.{}", number % ADDRESSES)
}

/// Measured before: 3 % of the logins of others got in.
///
/// ASVS 2.4.1, 15.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_21_rejected_registrations_from_five_addresses_keep_nobody_out() {
    let app = TestApp::with_users(&[]).await;
    let mut flood = Flood::new();
    let cores = std::thread::available_parallelism().unwrap().get();
    for number in 0..ADDRESSES * CONNECTIONS + cores {
        // The name is taken, which is found out after the hash.
        flood.add(app.browser().at(&address(number)), |it| async move {
            it.register("harry", "mallory@example.com", PASSWORD).await
        });
    }
    let is_full = || app.state.passwords.load().waiting == QUEUE;
    for _ in 0..3 {
        // The attackers have more addresses, and go on from the next.
        app.execute("UPDATE rate_limits SET count = 0 WHERE capacity IN (100, 300)")
            .await;
        until(is_full).await;
        app.harry_logs_in().await;
        until(is_full).await;
        app.alice_logs_in().await;
    }
    let answers = flood.end().await;
    let count = |status: u16| answers.iter().filter(|it| **it == status).count();
    assert_eq!(count(422) + count(503) + count(429), answers.len());
    assert!(count(422) > 0 && count(503) > 0);
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_21_an_address_has_300_registrations_rejected_an_hour() {
    let app = TestApp::with_users(&[]).await;
    let address = address(0);
    app.fill(&REJECTED_REGISTRATIONS, &address, 298).await;
    let browser = app.browser().at(&address);
    for _ in 0..2 {
        let page = browser.register("harry", "m@example.com", PASSWORD).await;
        assert_eq!(page.status, 422, "{}", page.text());
    }
    let page = browser.register("harry", "m@example.com", PASSWORD).await;
    assert_limited(&page, "Too many registrations from your network.", HOUR);
    app.users_log_in().await;
    // Another user registers.
    let ginny = app.attacker("ginny", "198.51.100.9").await;
    assert!(ginny.is_logged_in().await);
}
