//! Attack 12: codes cost money, and other users need them to log in.

use twostep::dev::simulator::Failure;
use twostep::services::twilio_verify::Channel;

use super::{ATTACKER, DAY, HOUR, assert_limited, in_site};
use crate::support::{OTHER_PHONE, PASSWORD, TestApp};

const NONE_LEFT: &str = "We can't send codes right now.";

/// A valid mobile number in Kenya.
fn number(n: usize) -> String {
    format!("+2547202272{n:02}")
}

/// Before this limit, 14 seconds of requests blocked SMS logins for 24 hours.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_ten_new_numbers_with_verified_codes_get_half_of_the_daily_codes() {
    let app = TestApp::with_users(&[("SMS_DAILY_LIMIT", "50")]).await;
    let before = app.codes_sent().await;
    for n in 0..10 {
        let browser = app.attacker(&format!("mallory{n}"), ATTACKER).await;
        app.enable(&browser, &number(n)).await;
    }
    app.users_log_in().await;
    let own = 1; // alice's
    for round in 0..3 {
        for n in 0..10 {
            let browser = app.browser().at(ATTACKER);
            let page = browser.log_in(&format!("mallory{n}"), PASSWORD).await;
            page.redirects_to("/verify_2fa");
            let sent = app.codes_sent().await - before - own;
            let expected = 10 + 10 * round + i64::from(n) + 1;
            assert_eq!(sent, expected.min(25), "round {round}, number {n}");
            match expected > 25 {
                false => browser.verify(&app.last_code()).await.redirects_to("/home"),
                true => assert!(browser.get("/verify_2fa").await.says(NONE_LEFT)),
            }
        }
    }
    let mallory = app.attacker("mallory", ATTACKER).await;
    let page = mallory.enable(&number(11)).await;
    assert_limited(&page, NONE_LEFT, DAY);
    // The other half is for numbers that were added a day ago.
    for _ in 0..3 {
        app.users_log_in().await;
    }
    assert_eq!(app.codes_sent().await - before, 25 + 4);
}

/// Measured before: 784 codes in 41 seconds, and none for anybody else.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_a_site_that_verifies_no_code_leaves_codes_to_others() {
    let app = TestApp::with_users(&[]).await;
    let before = app.codes_sent().await;
    for (network, passing) in [(1, 15), (2, 3)] {
        let names = (0..passing).map(|n| format!("mallory{network}-{n}"));
        for (n, name) in names.enumerate() {
            let mallory = app.attacker(&name, &in_site(network)).await;
            let page = mallory.enable(&number(20 * network + n)).await;
            page.redirects_to("/verify_2fa");
        }
    }
    let too_many = "Too many codes were requested from your network.";
    let mallory = app.attacker("mallory1-x", &in_site(1)).await;
    assert_limited(&mallory.enable(&number(90)).await, too_many, HOUR);
    assert_eq!(app.codes_sent().await - before, 18);
    // The site has exhausted its 150. That leaves 350 of the 500 for new numbers.
    let site = "UPDATE rate_limits SET count = 149 WHERE capacity = 150";
    assert_eq!(app.execute(site).await, 1);
    let mallory = app.attacker("mallory3", &in_site(3)).await;
    let page = mallory.enable(&number(91)).await;
    page.redirects_to("/verify_2fa");
    let mallory = app.attacker("mallory4", &in_site(4)).await;
    assert_limited(&mallory.enable(&number(92)).await, too_many, HOUR);
    assert_eq!(app.codes_sent().await - before, 19);

    // Others log in, reauthenticate and add a phone.
    let [harry, alice] = app.users_log_in().await;
    app.advance(HOUR / 2);
    alice.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    alice.verify(&app.last_code()).await.redirects_to("/home");
    harry.reauth(PASSWORD).await.redirects_to("/home");
    app.enable(&harry, OTHER_PHONE).await;
}

/// Measured before: 25 calls in a second.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_a_number_that_refuses_texts_is_called_six_times_a_day() {
    let app = TestApp::with_users(&[]).await;
    let mallory = app.attacker("mallory", ATTACKER).await;
    app.enable(&mallory, OTHER_PHONE).await;
    app.phone().fail_with(Some(Failure::RefuseSms));
    let calls = || {
        let messages = app.phone().messages();
        let calls = messages.iter().filter(|it| it.channel == Channel::Call);
        calls.filter(|it| it.to == OTHER_PHONE).count()
    };
    for round in 1..=12 {
        let browser = app.browser().at(ATTACKER);
        let page = browser.log_in("mallory", PASSWORD).await;
        page.redirects_to("/verify_2fa");
        assert_eq!(calls(), round.min(6));
        if round <= 6 {
            browser.verify(&app.last_code()).await.redirects_to("/home");
        }
        app.advance(31);
        if round % 6 == 0 {
            app.users_log_in().await; // alice by a call, too
        }
    }
    // A requested call is refused too.
    app.phone().fail_with(None);
    let browser = app.browser().at(ATTACKER);
    let page = browser.log_in("mallory", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    app.advance(31);
    let page = browser.post("/verify_2fa/call", &[]).await;
    assert_limited(&page, "too often. Ask for a text message instead.", DAY);
    assert_eq!(calls(), 6);
}
