//! Attack 12, SMS pumping: an attacker requests codes to numbers that earn money from them.

use twostep::dev::simulator::{BLOCKED, Failure, LANDLINE};
use twostep::models::sms_days;

use super::{register_and_log_in, two_factor_app, wrong};
use crate::logs;
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const HOUR: u64 = 60 * 60;

/// A valid mobile number in Kenya.
fn number(n: u32) -> String {
    format!("+2547202272{n:02}")
}

#[track_caller]
fn assert_limited(page: &Page, sentence: &str) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert!(page.header("retry-after").is_some());
    assert!(page.says(sentence), "{}", page.text());
}

/// A signed-in browser with its own IP address.
async fn at(app: &TestApp, name: &str, address: &str) -> Browser {
    app.register(name).await;
    let browser = app.browser().at(address);
    browser.complete_login(name).await;
    browser
}

async fn behind_proxy() -> TestApp {
    TestApp::behind_proxy().await
}

/// ASVS 2.3.2
#[tokio::test]
async fn attack_12_an_account_tries_five_different_numbers_a_day_and_no_sixth() {
    let (app, browser) = register_and_log_in("mallory").await;
    for n in 0..5 {
        browser.add_phone(&number(n)).await;
        app.advance(31);
    }
    let sent = app.messages_sent();
    let page = browser.enable(&number(5)).await;
    assert_limited(
        &page,
        "You have tried too many different numbers. Try again in 24 hours.",
    );
    assert_eq!(app.messages_sent(), sent);
    // A number that was tried before does not count again.
    browser.add_phone(&number(4)).await;
    assert_eq!(app.messages_sent(), sent + 1);
    // A verified number is refunded.
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);
    app.advance(31);
    browser.add_phone(&number(5)).await;
}

/// Longer than Twilio's verification of a number lives, which permits five sends.
const TWILIO_FORGETS: u64 = 601;

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_many_accounts_get_six_codes_an_hour_to_one_number_and_twelve_a_day() {
    let app = TestApp::start().await;
    for round in 0..2 {
        for n in 0..6 {
            let browser = app.register_and_log_in(&format!("mallory{round}{n}")).await;
            browser.add_phone(PHONE).await;
            app.advance(if n == 3 { TWILIO_FORGETS } else { 1 });
        }
        let browser = app.register_and_log_in(&format!("mallory{round}x")).await;
        let page = browser.enable(PHONE).await;
        let (wait, words) = match round {
            0 => ("2994", "50 minutes"),
            _ => ("81588", "23 hours"),
        };
        let sentence = format!("Too many codes were sent to this number. Try again in {words}.");
        assert_limited(&page, &sentence);
        assert_eq!(page.header("retry-after"), Some(wait));
        app.advance(HOUR);
    }
    assert_eq!(app.messages_sent(), 12);
}

#[tokio::test]
async fn attack_12_strangers_who_add_a_number_never_hold_back_its_owners_login() {
    let app = behind_proxy().await;
    app.with_two_factor("alice", PHONE).await;
    for n in 0..6 {
        let mallory = at(&app, &format!("mallory{n}"), "203.0.113.9").await;
        mallory.add_phone(PHONE).await;
        app.advance(if n == 3 { TWILIO_FORGETS } else { 1 });
    }
    let mallory = at(&app, "mallory", "203.0.113.9").await;
    let page = mallory.enable(PHONE).await;
    assert_limited(&page, "Too many codes were sent to this number.");
    let alice = app.log_in_until_code("alice").await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_one_address_gets_fifteen_codes_an_hour_while_enabling() {
    let app = behind_proxy().await;
    for n in 0..15 {
        let browser = at(&app, &format!("mallory{n}"), "2001:db8::1").await;
        browser.add_phone(&number(n)).await;
    }
    let sent = app.messages_sent();
    let browser = at(&app, "mallory", "2001:db8::ffff:1").await;
    let page = browser.enable(&number(20)).await;
    assert_limited(
        &page,
        "Too many codes were requested from your network. Try again in",
    );
    assert_eq!(page.header("retry-after"), Some("3600"));
    assert_eq!(app.messages_sent(), sent);
    // The next network is not limited, nor a login from this one.
    let other = at(&app, "harry", "2001:db8:0:1::1").await;
    other.add_phone(&number(21)).await;
    assert_eq!(other.verify(&app.last_code()).await.status, 200);
    let pending = app.browser().at("2001:db8::1");
    pending.log_in("harry", PASSWORD).await;
    pending.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_loopback_address_is_not_limited_in_development() {
    let app = TestApp::start().await;
    for n in 0..16 {
        let browser = app.register_and_log_in(&format!("harry{n}")).await;
        browser.add_phone(&number(n)).await;
    }
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_strangers_consume_half_of_the_daily_codes_and_no_more() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "10")]).await;
    for n in 0..3 {
        app.with_two_factor(&format!("harry{n}"), &number(n)).await;
    }
    app.advance(24 * HOUR); // those numbers are no longer new
    let none = "We can't send codes right now. Try again in 10 hours";
    for n in 0..4 {
        app.with_two_factor(&format!("mallory{n}"), &number(10 + n))
            .await;
    }
    let mallory = app.log_in_until_code("mallory0").await; // 5
    mallory.verify(&app.last_code()).await.redirects_to("/home");
    let browser = app.register_and_log_in("mallory").await;
    assert_limited(&browser.enable(&number(20)).await, &format!("{none}."));
    let sent = app.messages_sent();
    let mallory = app.log_in_until_code("mallory1").await;
    assert_eq!(app.messages_sent(), sent, "its number is new");
    let page = mallory.get("/verify_2fa").await;
    assert!(page.says(&format!("{none}, or use a recovery code.")));
    // The other half is for users who are at least a day old, to log in and to confirm it.
    for n in 0..3 {
        let harry = app.log_in_until_code(&format!("harry{n}")).await;
        harry.verify(&app.last_code()).await.redirects_to("/home");
        if n < 2 {
            harry.reauth(PASSWORD).await.redirects_to("/verify_2fa");
            harry.verify(&app.last_code()).await.redirects_to("/home");
        }
    }
    assert_eq!(app.messages_sent(), sent + 5);
    let harry = app.log_in_until_code("harry2").await;
    assert_eq!(app.messages_sent(), sent + 5);
    let page = harry.get("/verify_2fa").await;
    assert!(page.says(&format!("{none}, or use a recovery code.")));
    app.advance(24 * HOUR);
    app.log_in_until_code("harry2").await;
    assert_eq!(app.messages_sent(), sent + 6);
}

#[tokio::test]
async fn a_number_is_new_for_a_day_and_not_a_second_longer() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "2")]).await;
    app.with_two_factor("harry", PHONE).await; // the only code for new numbers
    for (seconds, sent) in [(24 * HOUR - 1, 2), (1, 3)] {
        app.advance(seconds);
        let browser = app.log_in_until_code("harry").await;
        browser.verify(&app.last_code()).await.redirects_to("/home");
        assert_eq!(app.messages_sent(), sent);
        if sent == 2 {
            let other = app.register_and_log_in("ginny").await;
            assert_limited(&other.enable(OTHER_PHONE).await, "We can't send codes");
        }
    }
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_an_account_that_enters_every_code_gets_a_share_of_the_daily_codes() {
    // A tenth, at least five and at most thirty.
    for (daily_limit, share) in [("40", 5), ("150", 15), ("1000", 30)] {
        let app = TestApp::with(&[("SMS_DAILY_LIMIT", daily_limit)]).await;
        app.with_two_factor("alice", PHONE).await;
        app.with_two_factor("mallory", OTHER_PHONE).await;
        for _ in 1..share {
            let mallory = app.log_in_until_code("mallory").await;
            mallory.verify(&app.last_code()).await.redirects_to("/home");
        }
        let sent = app.messages_sent();
        let mallory = app.log_in_until_code("mallory").await;
        assert_eq!(app.messages_sent(), sent, "{daily_limit}");
        let page = mallory.get("/verify_2fa").await;
        let refused = "Too many codes were sent for this account. Try again in 10 hours, or use";
        assert!(page.says(refused), "{}", page.text());
        let alice = app.log_in_until_code("alice").await;
        alice.verify(&app.last_code()).await.redirects_to("/home");
        app.advance(24 * HOUR);
        let mallory = app.log_in_until_code("mallory").await;
        mallory.verify(&app.last_code()).await.redirects_to("/home");
    }
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_many_accounts_with_one_phone_get_the_share_of_one() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "100")]).await;
    for n in 0..10 {
        let name = format!("mallory{n}");
        app.with_two_factor(&name, OTHER_PHONE).await;
    }
    let browser = app.register_and_log_in("mallory").await;
    let page = browser.enable(OTHER_PHONE).await;
    let refused = "Too many codes were sent to this number. Try again in 10 hours";
    assert_limited(&page, &format!("{refused}."));
    // Codes that were sent to add the number don't count against logins.
    for n in 0..10 {
        let mallory = app.log_in_until_code(&format!("mallory{n}")).await;
        mallory.verify(&app.last_code()).await.redirects_to("/home");
    }
    let sent = app.messages_sent();
    assert_eq!(sent, 20);
    let mallory = app.log_in_until_code("mallory0").await;
    assert_eq!(app.messages_sent(), sent);
    let page = mallory.get("/verify_2fa").await;
    assert!(page.says(&format!("{refused}, or use a recovery code.")));
    app.with_two_factor("alice", PHONE).await;
    let alice = app.log_in_until_code("alice").await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
    app.advance(24 * HOUR);
    let mallory = app.log_in_until_code("mallory0").await;
    mallory.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn attack_12_recovery_codes_get_a_tenth_of_the_daily_codes_sent() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "250")]).await;
    app.with_two_factor("mallory", OTHER_PHONE).await;
    for _ in 0..3 {
        for code in app.recovery_codes("mallory").await {
            let mallory = app.log_in_until_code("mallory").await;
            mallory.recover(&code).await.redirects_to("/home");
        }
    }
    assert_eq!(app.messages_sent(), 25);
}

#[tokio::test]
async fn attack_12_a_daily_limit_of_0_sends_no_code() {
    let app = TestApp::with(&[("SMS_DAILY_LIMIT", "0")]).await;
    let browser = app.register_and_log_in("harry").await;
    assert_limited(
        &browser.enable(PHONE).await,
        "We can't send codes right now.",
    );
    assert_eq!(app.messages_sent(), 0);
}

#[tokio::test]
async fn attack_12_a_blocked_sms_is_followed_by_no_call_and_counts_nowhere() {
    let (app, browser) = register_and_log_in("mallory").await;
    assert_eq!(browser.enable(BLOCKED).await.status, 422);
    assert_eq!(app.messages_sent(), 0);
    assert_eq!(
        app.count("SELECT COUNT(*) FROM rate_limits WHERE count > 0")
            .await,
        0
    );
    // No limit applies to demo numbers.
    for _ in 0..20 {
        browser.add_phone(LANDLINE).await;
    }
    assert_eq!(
        app.count("SELECT COUNT(*) FROM rate_limits WHERE count > 0")
            .await,
        0
    );
}

/// Codes sent and verified today, by country.
async fn today(app: &TestApp) -> Vec<(String, i64, i64)> {
    let rows = sms_days::report(&app.pool, 1, app.state.clock.now()).await;
    let rows = rows.unwrap().into_iter();
    rows.map(|row| (row.country, row.sent, row.entered))
        .collect()
}

#[tokio::test]
async fn codes_sent_and_verified_are_counted_by_country() {
    let app = two_factor_app("alice").await;
    app.with_two_factor("bella", OTHER_PHONE).await;
    let browser = app.log_in_until_code("alice").await;
    let (kenya, germany) = (("KE".to_owned(), 2, 1), ("DE".to_owned(), 1, 1));
    assert_eq!(today(&app).await, [germany.clone(), kenya]);

    // A call, a wrong code, the right code, and a code that was not sent.
    app.advance(30);
    browser.post("/verify_2fa/call", &[]).await;
    browser.verify(&wrong(&app.last_code())).await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
    app.phone().fail_with(Some(Failure::Status(500, None)));
    app.log_in_until_code("alice").await;
    let kenya = ("KE".to_owned(), 3, 2);
    assert_eq!(today(&app).await, [germany, kenya]);
}

#[tokio::test]
async fn attack_12_a_country_where_few_codes_are_verified_is_logged() {
    let app = TestApp::start().await;
    app.execute("INSERT INTO sms_days VALUES ('2026-09-21', 'KE', 48, 4)")
        .await;
    logs::keep();
    app.with_two_factor("alice", PHONE).await; // the 49th, and the 5th entered
    assert!(!logs::take().concat().contains("sms_pumping_suspected"));
    app.execute("UPDATE sms_days SET entered = 4").await;
    app.log_in_until_code("alice").await;
    let text = logs::take().concat();
    assert!(text.contains("sms_pumping_suspected"), "{text}");
    assert!(text.contains("country=\"KE\" sent=50 entered=4"), "{text}");
}
