//! Parallel requests from several addresses, each with a password hash.

use super::Flood;
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
async fn attack_21_rejected_registrations_from_five_addresses_lock_nobody_out() {
    let app = TestApp::with_users(&[]).await;
    let mut flood = Flood::new();
    let cores = std::thread::available_parallelism().unwrap().get();
    for number in 0..ADDRESSES * CONNECTIONS + cores {
        // The name is taken, which shows after the hash.
        flood.add(app.browser().at(&address(number)), |it| async move {
            it.register("harry", "mallory@example.com", PASSWORD).await
        });
    }
    let is_full = || app.state.passwords.load().waiting == QUEUE;
    for _ in 0..3 {
        // The attackers continue from other addresses.
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
