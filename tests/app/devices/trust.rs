//! Trust: a login with a code may spare later ones the code.

use super::{
    COOKIE, DAY, TRUSTED, assert_needs_code, log_in_with_code, log_out, trusted, with_device_of,
};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, TestApp};

const DAYS: &str = "TRUST_DEVICE_DAYS";

#[tokio::test]
async fn a_trusted_device_needs_only_the_password_until_the_second_the_trust_ends() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.browser();
    log_in_with_code(&app, &browser, "alice", "1").await;
    let sent = app.messages_sent();
    let challenges = app.count("SELECT COUNT(*) FROM challenges").await;
    // The third login shows that the second one does not lengthen the trust.
    for pause in [0, 29 * DAY, DAY - 1] {
        log_out(&browser).await;
        app.advance(pause);
        browser.complete_login("alice").await;
        assert!(browser.is_logged_in().await);
    }
    assert_eq!(app.messages_sent(), sent, "no SMS");
    assert_eq!(
        app.count("SELECT COUNT(*) FROM challenges").await,
        challenges
    );
    log_out(&browser).await;
    app.advance(1);
    assert_needs_code(&browser, "alice").await;
    assert_eq!(app.messages_sent(), sent + 1);
}

#[tokio::test]
async fn the_setting_is_the_number_of_days() {
    for (days, seconds) in [("1", DAY), ("400", 400 * DAY)] {
        let app = TestApp::with(&[(DAYS, days)]).await;
        let browser = trusted(&app, "alice", PHONE).await;
        app.advance(seconds - 1);
        browser.complete_login("alice").await;
        log_out(&browser).await;
        app.advance(1);
        assert_needs_code(&browser, "alice").await;
    }
}

#[tokio::test]
async fn the_field_is_on_for_any_value_but_those_that_mean_no() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    for (value, is_on) in [
        ("", false),
        ("0", false),
        ("False", false),
        ("n", false),
        (" OFF ", false),
        ("1", true),
        ("on", true),
        ("no", true),
    ] {
        let browser = app.browser();
        log_in_with_code(&app, &browser, "alice", value).await;
        log_out(&browser).await;
        app.advance(31);
        let place = if is_on { "/home" } else { "/verify_2fa" };
        browser.log_in("alice", PASSWORD).await.redirects_to(place);
        app.advance(3_600);
    }
}

#[tokio::test]
async fn only_a_login_offers_trust() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let offers = async |browser: &Browser| {
        let page = browser.get("/verify_2fa").await;
        assert_eq!(page.status, 200);
        page.all("label[for=trust_device]")
    };
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    assert!(offers(&alice).await.is_empty(), "while adding a phone");
    let fields = |code| [("token", code), ("trust_device", "1")];
    let code = app.last_code();
    alice.post("/verify_2fa", &fields(&code)).await;
    app.advance(31);
    alice.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    assert!(offers(&alice).await.is_empty(), "while reauthenticating");
    let code = app.last_code();
    let page = alice.post("/verify_2fa", &fields(&code)).await;
    page.redirects_to("/home");
    assert_eq!(app.count(TRUSTED).await, 0);

    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    assert_eq!(offers(&browser).await, ["Trust this device for 30 days"]);
    assert!(
        app.browser()
            .get("/login")
            .await
            .all("#trust_device")
            .is_empty()
    );
}

#[tokio::test]
async fn a_wrong_code_grants_no_trust_and_keeps_the_box_checked() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    for (value, checked) in [("1", 1), ("0", 0)] {
        let fields = [("token", "000000"), ("trust_device", value)];
        let page = browser.post("/verify_2fa", &fields).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.all("#trust_device[checked]").len(), checked);
    }
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert_eq!(app.count(TRUSTED).await, 0, "the last form counts");
}

#[tokio::test]
async fn a_recovery_code_never_grants_trust() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let codes = app.recovery_codes("alice").await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    let fields = [("recovery_code", &*codes[0]), ("trust_device", "1")];
    let page = browser.post("/verify_2fa/recovery", &fields).await;
    page.redirects_to("/home");
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
}

#[tokio::test]
async fn without_days_there_is_no_trust() {
    let app = TestApp::start().await;
    let before = trusted(&app, "alice", PHONE).await;
    let cookie = before.cookie(COOKIE).unwrap();
    let now = app.state.clock.now() + 31;
    let app = app.restarted_at(now, &[(DAYS, "0")]).await;
    let browser = app.browser();
    browser.set_cookie(COOKIE, &cookie);
    assert_needs_code(&browser, "alice").await;
    assert!(
        browser
            .get("/verify_2fa")
            .await
            .all("#trust_device")
            .is_empty()
    );
    let fields = [("token", &*app.last_code()), ("trust_device", "1")];
    let page = browser.post("/verify_2fa", &fields).await;
    page.redirects_to("/home");
    let page = browser.get("/security").await;
    assert!(!page.text().contains("trusted until"), "{}", page.text());
    assert!(page.all("form[action$='/forget']").is_empty());
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
}

/// ASVS 7.5.1
#[tokio::test]
async fn a_login_by_trust_is_not_recently_authenticated() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    app.advance(31);
    browser.complete_login("alice").await;
    for path in ["/home", "/user/alice", "/edit_profile", "/security"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    for path in [
        "/change_password",
        "/enable_2fa",
        "/disable_2fa",
        "/recovery_codes",
    ] {
        let page = browser.get(path).await;
        let next = path.replace('/', "%2F");
        page.redirects_to(&format!("/reauth?next={next}"));
    }
    // The trust does not replace the code there.
    let fields = [("password", PASSWORD), ("next", "/change_password")];
    browser
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    assert_ne!(browser.get("/change_password").await.status, 200);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/change_password");
    assert_eq!(browser.get("/change_password").await.status, 200);
    app.advance(600);
    assert_ne!(browser.get("/change_password").await.status, 200);
}

#[tokio::test]
async fn a_login_by_trust_is_recorded() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    browser.complete_login("alice").await;
    let page = browser.get("/security").await;
    let events = page.all("[aria-labelledby=activity] .entry-title");
    assert_eq!(
        events[..4],
        [
            "Logged in with the password on a trusted device",
            "Logged out",
            "A device was trusted",
            "Logged in with the password and a code",
        ]
    );
}

#[tokio::test]
async fn each_account_of_a_browser_trusts_it_separately() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    app.with_two_factor("bella", OTHER_PHONE).await;
    log_in_with_code(&app, &browser, "bella", "0").await;
    log_out(&browser).await;
    browser.complete_login("alice").await;
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "bella").await;
    // In a copy of the browser the same holds.
    with_device_of(&app, &browser).complete_login("alice").await;
}
