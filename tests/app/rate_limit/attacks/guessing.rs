//! Attack 6: one password for many usernames, from all networks of a site.

use twostep::models::rate_limit::WRONG_PASSWORDS_PER_CLIENT;

use super::{HOUR, assert_limited, in_site};
use crate::support::TestApp;

/// A list of names and one password.
const GUESS: &str = "Summer2026!";

/// Measured before: 95 guesses a second, and no 429.
///
/// ASVS 2.4.1, 6.3.1
#[tokio::test]
async fn attack_06_a_site_gets_ten_times_the_guesses_of_a_network() {
    let app = TestApp::with_users(&[]).await;
    let guess = async |network: usize, number: usize| {
        let browser = app.browser().at(&in_site(network));
        browser.log_in(&format!("name{number}"), GUESS).await
    };
    let too_many = "Too many wrong passwords.";
    // A network has 60.
    app.fill(&WRONG_PASSWORDS_PER_CLIENT, "2001:db8:bad:1::/64", 55)
        .await;
    for number in 0..5 {
        assert_eq!(guess(1, number).await.status, 422);
    }
    assert_limited(&guess(1, 5).await, too_many, HOUR / 6);
    app.users_log_in().await;
    // The site has 600. Each network from here on is a new one.
    let site = "UPDATE rate_limits SET count = 590 WHERE capacity = 600 AND count = 5";
    assert_eq!(app.execute(site).await, 1);
    for number in 0..10 {
        assert_eq!(guess(10 + number, number).await.status, 422);
    }
    for number in 10..20 {
        assert_limited(&guess(10 + number, number).await, too_many, HOUR / 6);
    }
    app.users_log_in().await;
    // After ten minutes it may guess as often again.
    app.advance(HOUR / 6);
    assert_eq!(guess(50, 50).await.status, 422);
}
