//! Attacks that insert rows: renames, unfinished logins, reset requests.

use twostep::models::rate_limit::RENAMES;

use super::{ATTACKER, DAY, HOUR, assert_limited, in_site};
use crate::support::{OTHER_PHONE, PASSWORD, TestApp};

const OLD_CHALLENGES: &str = "WITH RECURSIVE numbers (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
    INSERT INTO challenges (id, user_id, auth_version, purpose, remember, sends, calls, checks,
        created_at, expires_at, closed_at, outcome)
    SELECT 'id' || n, u.id, u.auth_version, 'login', 0, 0, 0, 0, 1790000000, 1790000600,
        1790000001, 'superseded'
    FROM numbers JOIN users u ON u.username_key = 'mallory'";

/// Measured before: 705 a second.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn renames_leave_five_reserved_names_a_day_and_a_bounded_activity() {
    let app = TestApp::with_users(&[]).await;
    let mallory = app.attacker("mallory", ATTACKER).await;
    let rename = async |number: u64| {
        let name = format!("mallory{number}");
        let fields = [("username", name.as_str()), ("about_me", "")];
        mallory.post("/edit_profile", &fields).await
    };
    let too_many = "You have changed your username too often.";
    for day in 0..2 {
        for number in 0..20 {
            let page = rename(100 * day + number).await;
            match number < 5 {
                true => assert_eq!(page.status, 303, "{}", page.text()),
                false => assert_limited(&page, too_many, DAY),
            }
            if number % 10 == 5 {
                app.users_log_in().await;
            }
        }
        let name = format!("mallory{}", 100 * day + 4);
        assert_eq!(app.used_by(&RENAMES, &name).await, 5);
        app.advance(HOUR * 11); // the session would be over after twelve
        assert!(mallory.is_logged_in().await);
        app.advance(HOUR * 11);
        assert!(mallory.is_logged_in().await);
        app.advance(HOUR * 2);
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM former_usernames").await, 10);
    let activity = "SELECT COUNT(*) FROM activity JOIN users ON users.id = user_id
        WHERE username = 'mallory104'";
    assert!(app.count(activity).await <= 200);
}

/// Measured before: 39 a second, and 3.8 seconds for a login beside a million of them.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn unfinished_logins_are_thirty_an_hour_and_do_not_slow_the_account() {
    let app = TestApp::with_users(&[]).await;
    let mallory = app.attacker("mallory", ATTACKER).await;
    app.enable(&mallory, OTHER_PHONE).await;
    let of_mallory = "SELECT COUNT(*) FROM challenges JOIN users ON users.id = user_id
        WHERE username = 'mallory' AND purpose = 'login'";
    let too_many = "Too many logins to this account from your network.";
    // The login without a code was the first of thirty.
    for number in 1..=40 {
        let browser = app.browser().at(ATTACKER);
        let page = browser.log_in("mallory", PASSWORD).await;
        match number < 30 {
            true => page.redirects_to("/verify_2fa"),
            false => assert_limited(&page, too_many, HOUR),
        }
        if number % 20 == 0 {
            app.users_log_in().await;
        }
    }
    assert_eq!(app.count(of_mallory).await, 29);
    assert_eq!(app.open_challenges().await, 29);

    // An attacker with many addresses could cause these.
    assert_eq!(app.execute(OLD_CHALLENGES).await, 20_000);
    app.advance(31);
    let elsewhere = app.browser().at("198.51.100.10");
    let page = elsewhere.log_in("mallory", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let code = app.code_to(OTHER_PHONE);
    elsewhere.verify(&code).await.redirects_to("/home");
    app.users_log_in().await;
}

/// Measured before: 1,100 a second.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn reset_requests_are_ten_an_hour_and_leave_no_row() {
    let app = TestApp::with_users(&[]).await;
    let request = async |address: &str, email: &str| {
        let browser = app.browser().at(address);
        let fields = [("email", email)];
        browser.post("/reset_password_request", &fields).await
    };
    let too_many = "Too many requests from your network.";
    for network in 0..4 {
        for number in 0..15 {
            let email = match number % 2 {
                0 => "alice@example.com".to_owned(),
                _ => format!("nobody{network}-{number}@example.com"),
            };
            let page = request(&in_site(network), &email).await;
            match number < 10 {
                true => assert_eq!(page.status, 303, "{}", page.text()),
                false => assert_limited(&page, too_many, HOUR),
            }
        }
        app.users_log_in().await;
    }
    // The site has a hundred over all its networks.
    let site = "UPDATE rate_limits SET count = 99 WHERE capacity = 100 AND count = 40";
    assert_eq!(app.execute(site).await, 1);
    let page = request(&in_site(8), "alice@example.com").await;
    assert_eq!(page.status, 303);
    let page = request(&in_site(9), "alice@example.com").await;
    assert_limited(&page, too_many, HOUR);

    let links = app.mail_to("alice@example.com").await;
    let links = links.iter().filter(|it| it.subject.contains("password"));
    assert!((1..=3).contains(&links.count()));
    for rows in [
        "SELECT COUNT(*) FROM outbox",
        "SELECT COUNT(*) FROM reset_requests",
    ] {
        assert_eq!(app.count(rows).await, 0, "{rows}");
    }
    // One bucket for each counted address, and a few others.
    let buckets = app.count("SELECT COUNT(*) FROM rate_limits").await;
    assert!(buckets < 41 + 30, "{buckets}");
    let page = request("198.51.100.11", "harry@example.com").await;
    assert_eq!(page.status, 303);
}
