//! The code page helps a user who is stuck: a wrong number, a wrong code, a wait.

use super::{
    assert_invalid_token, pending_login, register_and_log_in, two_factor_app, two_factor_login,
    wrong,
};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const ALERTS: &str = "main [role=alert]";

fn advice(page: &Page) -> String {
    page.first("#token-hint").unwrap_or_default()
}

/// The seconds and the texts that count down.
fn countdowns(page: &Page) -> Vec<(String, String)> {
    let seconds = page.attributes("[data-countdown]", "data-countdown");
    seconds
        .into_iter()
        .zip(page.all("[data-countdown]"))
        .collect()
}

#[track_caller]
fn assert_counts_down(page: &Page, seconds: &str, words: &str) {
    let found = countdowns(page);
    let is_shown = found
        .iter()
        .any(|(wait, text)| wait == seconds && text.contains(words));
    assert!(is_shown, "{found:?}");
}

#[tokio::test]
async fn a_wrong_number_is_corrected_from_the_code_page_and_gets_its_code_at_once() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(OTHER_PHONE).await;
    let page = browser.get("/verify_2fa").await;
    let sentence = format!("We texted a code to {OTHER_PHONE}");
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(
        page.all("main a[href='/enable_2fa']"),
        ["Wrong number? Change it"]
    );

    let form = browser.get("/enable_2fa").await;
    let number = form.value_of("verification_phone");
    assert_eq!(number.as_deref(), Some(OTHER_PHONE));
    browser.add_phone(PHONE).await;
    assert_eq!(app.messages_sent(), 2);
    assert_eq!(app.last_message().to, PHONE);
    assert_eq!(browser.verify(&app.last_code()).await.status, 200);
    assert_eq!(app.phone_of("harry").await.as_deref(), Some(PHONE));
    let form = browser.get("/enable_2fa").await;
    let number = form.value_of("verification_phone");
    assert_eq!(number.as_deref(), Some(""), "the challenge is closed");
}

#[tokio::test]
async fn only_the_session_that_adds_a_number_is_shown_it() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(PHONE).await;
    for other in [
        app.log_in("harry").await,
        app.register_and_log_in("ginny").await,
    ] {
        let path = format!("/enable_2fa?verification_phone={PHONE}");
        let page = other.get(&path).await;
        assert_eq!(page.value_of("verification_phone").as_deref(), Some(""));
        assert!(!page.body.contains(PHONE));
    }
}

#[tokio::test]
async fn a_login_and_a_reauthentication_show_the_end_of_the_number_and_no_way_to_change_it() {
    let (app, browser) = two_factor_login("harry").await;
    let pending = app.log_in_until_code("harry").await;
    browser.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    for browser in [&pending, &browser] {
        let page = browser.get("/verify_2fa").await;
        assert_eq!(page.alerts(), ["We texted a code to •••• 267"]);
        assert!(page.all("main a[href='/enable_2fa']").is_empty());
    }
    let form = browser.get("/enable_2fa").await;
    assert_eq!(form.value_of("verification_phone").as_deref(), Some(""));
}

#[tokio::test]
async fn a_wrong_code_says_what_to_check_and_how_many_tries_are_left() {
    let (app, browser) = pending_login("harry").await;
    let code = wrong(&app.last_code());
    let check = "Check the newest message. Older codes may no longer work.";
    for left in ["4 tries", "3 tries", "2 tries", "one try"] {
        let page = browser.verify(&code).await;
        assert_invalid_token(&page);
        assert_eq!(advice(&page), format!("{check} You have {left} left."));
        let described = page.attributes("#token", "aria-describedby");
        assert_eq!(described, ["token-error token-hint"]);
    }
    let page = browser.verify("12x").await;
    assert_invalid_token(&page);
    assert_eq!(advice(&page), "Enter only the digits of the code.");
    assert_eq!(advice(&browser.get("/verify_2fa").await), "");
}

#[tokio::test]
async fn after_a_call_a_wrong_code_says_to_check_the_call() {
    let (app, browser) = pending_login("harry").await;
    app.advance(31);
    browser.request_code("/verify_2fa/call").await;
    let page = browser.verify(&wrong(&app.last_code())).await;
    let expected = "Check the code of the newest call. You have 4 tries left.";
    assert_eq!(advice(&page), expected);
}

/// The page after the last wrong code.
async fn exhaust(app: &TestApp, browser: &Browser) -> Page {
    let code = wrong(&app.last_code());
    for _ in 0..4 {
        assert_invalid_token(&browser.verify(&code).await);
    }
    let page = browser.verify(&code).await;
    assert_eq!(page.status, 422);
    let expected = "Invalid token. That was your last try for this code.";
    assert_eq!(page.all(ALERTS), [expected]);
    page
}

#[tokio::test]
async fn after_the_last_wrong_code_a_recovery_code_follows_the_password() {
    let app = two_factor_app("harry").await;
    let recovery_code = app.recovery_codes("harry").await.remove(0);
    let browser = app.browser();
    let fields = [
        ("username", "harry"),
        ("password", PASSWORD),
        ("next", "/edit_profile"),
    ];
    let page = browser.post("/login", &fields).await;
    page.redirects_to("/verify_2fa");
    let page = exhaust(&app, &browser).await;
    let links = page.attributes("main a", "href");
    assert_eq!(page.all("main a"), ["Begin again", "Use a recovery code"]);
    assert_eq!(
        links,
        [
            "/login?next=%2Fedit_profile",
            "/login?recovery=1&next=%2Fedit_profile"
        ]
    );

    let form = browser.get(&links[1]).await;
    assert_eq!(form.value_of("recovery").as_deref(), Some("1"));
    let sent = app.messages_sent();
    let fields = [&fields[..], &[("recovery", "1")]].concat();
    let page = browser.post("/login", &fields).await;
    page.redirects_to("/verify_2fa/recovery");
    assert_eq!(browser.follow(&page).await.status, 200);
    assert_eq!(app.messages_sent(), sent, "no code is sent");
    // The user may still ask for one.
    app.advance(31);
    let page = browser.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["You can ask for a code now."]);
    let page = browser.recover(&recovery_code).await;
    page.redirects_to("/edit_profile");
}

#[tokio::test]
async fn after_the_last_wrong_code_of_a_reauthentication_a_recovery_code_follows_the_password() {
    let (app, browser) = two_factor_login("harry").await;
    let recovery_code = app.recovery_codes("harry").await.remove(0);
    let fields = [("password", PASSWORD), ("next", "/disable_2fa")];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa");
    let page = exhaust(&app, &browser).await;
    let link = "/reauth?recovery=1&next=%2Fdisable_2fa";
    assert_eq!(page.attributes("main a", "href")[1], link);
    let form = browser.get(link).await;
    assert_eq!(form.value_of("recovery").as_deref(), Some("1"));
    // A wrong password keeps the choice.
    let wrong = [("password", "x"), ("recovery", "1")];
    let form = browser.post("/reauth", &wrong).await;
    assert_eq!(form.value_of("recovery").as_deref(), Some("1"));
    let fields = [&fields[..], &[("recovery", "1")]].concat();
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa/recovery");
    let page = browser.recover(&recovery_code).await;
    page.redirects_to("/disable_2fa");
}

#[tokio::test]
async fn after_the_last_wrong_code_while_adding_a_phone_no_recovery_code_is_offered() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(PHONE).await;
    let page = exhaust(&app, &browser).await;
    assert_eq!(page.all("main a"), ["Begin again"]);
    assert_eq!(page.attributes("main a", "href"), ["/enable_2fa"]);
}

#[tokio::test]
async fn every_wait_on_a_page_counts_down() {
    let (app, browser) = pending_login("harry").await;
    let page = browser.get("/verify_2fa").await;
    assert_counts_down(&page, "30", "You can ask for another in 30 seconds.");
    let buttons = page.attributes("button[data-countdown-waits]", "data-countdown-waits");
    assert_eq!(buttons, ["30", "30"]);
    let page = browser.post("/verify_2fa/resend", &[]).await;
    assert_counts_down(&page, "30", "You asked for a code a moment ago.");

    let other = app.browser();
    for _ in 0..10 {
        other.log_in("harry", "wrong").await;
    }
    let page = other.log_in("harry", "wrong").await;
    assert_eq!(page.status, 429);
    let wait = page.header("retry-after").unwrap();
    assert_counts_down(&page, wait, "Try again in");

    for _ in 0..5 {
        browser.recover("AAAA-AAAA-AAAA-AAAA-AAAA-AAAA").await;
    }
    let page = browser.recover("AAAA-AAAA-AAAA-AAAA-AAAA-AAAA").await;
    assert_eq!(page.status, 429);
    let wait = page.header("retry-after").unwrap();
    assert_counts_down(&page, wait, "Try again in");
}

#[tokio::test]
async fn the_wait_of_a_number_that_got_too_many_codes_counts_down() {
    let (_app, browser) = register_and_log_in("harry").await;
    let page = browser.enable(twostep::dev::simulator::TOO_MANY).await;
    assert_counts_down(&page, "600", "Try again in 10 minutes.");
}
