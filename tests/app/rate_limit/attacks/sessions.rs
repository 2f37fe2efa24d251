//! An account with many sessions, and the page that lists them.

use super::{ATTACKER, Flood, HOUR, assert_limited};
use crate::support::{PASSWORD, TestApp};

/// Loops that read the page.
const READERS: usize = 20;

/// Bytes of a page with 50 sessions.
const LARGEST_PAGE: usize = 80 * 1024;

const SESSIONS: &str = "WITH RECURSIVE numbers (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
    INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, data, created_at,
        last_active_at, idle_expires_at, expires_at, address, user_agent)
    SELECT 'id' || n, 'hash' || n, u.id, 1, 0, '{}', n, n, 9999999999, 9999999999,
        '203.0.113.9', 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
    FROM numbers JOIN users u ON u.username_key = 'mallory'";

/// Measured before: with 100,000 sessions 20 readers of the page kept all others out.
///
/// ASVS 15.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_21_thousands_of_sessions_of_one_account_lock_nobody_out() {
    let app = TestApp::with_users(&[]).await;
    app.attacker("mallory", ATTACKER).await;
    for _ in 1..30 {
        let browser = app.browser().at(ATTACKER);
        browser.complete_login("mallory").await;
    }
    let too_many = "Too many logins to this account from your network.";
    for password in [PASSWORD, "a wrong one"] {
        let page = app.browser().at(ATTACKER).log_in("mallory", password).await;
        assert_limited(&page, too_many, HOUR);
    }
    app.users_log_in().await;

    // An attacker with many addresses could cause these.
    app.execute(SESSIONS).await;
    let mallory = app.browser().at("203.0.113.10");
    mallory.complete_login("mallory").await;
    let mut flood = Flood::new();
    for _ in 0..READERS {
        flood.add(
            mallory.copy(),
            |it| async move { it.get("/security").await },
        );
    }
    for _ in 0..3 {
        app.users_log_in().await;
    }
    let answers = flood.end().await;
    assert!(answers.len() >= READERS && answers.iter().all(|it| *it == 200));

    let page = mallory.get("/security").await;
    assert_eq!(page.all(".entry-sessions > li > div").len(), 50);
    assert!(page.text().contains("and more than 1,000 more"));
    assert!(page.body.len() < LARGEST_PAGE, "{}", page.body.len());
}
