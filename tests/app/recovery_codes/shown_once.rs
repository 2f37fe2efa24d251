//! The second POST of a form whose response showed recovery codes, as after a reload.

use data_encoding::BASE32_NOPAD;
use secrecy::ExposeSecret;
use twostep::services::totp::TotpSecret;

use crate::support::{Browser, OTHER_PHONE, PHONE, Page, TestApp};
use crate::two_factor::wrong;

const SHOWN_ONCE: &str =
    "Recovery codes are shown only once. If you didn't save them, make a new set.";

fn codes(page: &Page) -> Vec<String> {
    page.all(".recovery-codes code")
}

/// Asserts that the response leads to a page that offers a new set.
async fn assert_shown_once(browser: &Browser, page: &Page) {
    page.redirects_to("/recovery_codes");
    let page = browser.follow(page).await;
    assert!(page.says(SHOWN_ONCE), "{}", page.text());
    assert_eq!(
        page.all("main form[action='/recovery_codes'] button"),
        ["Make new recovery codes"]
    );
    assert!(codes(&page).is_empty());
}

#[tokio::test]
async fn the_code_that_turned_two_factor_authentication_on_leads_to_the_recovery_codes() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("harry").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let code = app.last_code();
    assert_eq!(codes(&browser.verify(&code).await).len(), 10);
    for _ in 0..2 {
        assert_shown_once(&browser, &browser.verify(&code).await).await;
    }
    assert_eq!(app.recovery_codes_left("harry").await, 10);
    // Blanks and dashes don't matter here either.
    let typed = format!("{}-{}", &code[..3], &code[3..]);
    assert_shown_once(&browser, &browser.verify(&typed).await).await;
    // No other request, and no other code.
    browser.get("/verify_2fa").await.redirects_to("/home");
    let page = browser
        .post("/verify_2fa/resend", &[("token", &code)])
        .await;
    page.redirects_to("/home");
    browser.verify(&wrong(&code)).await.redirects_to("/home");
    browser.verify("").await.redirects_to("/home");
}

#[tokio::test]
async fn a_code_that_showed_no_recovery_codes_leads_home() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    app.enable(&browser, OTHER_PHONE).await;
    let code = app.last_code();
    browser.verify(&code).await.redirects_to("/home");
    let other = app.log_in_until_code("harry").await;
    let code = app.last_code();
    for _ in 0..2 {
        other.verify(&code).await.redirects_to("/home");
    }
}

/// The fields of the form that adds an app, with the right code.
async fn app_fields(app: &TestApp, browser: &Browser) -> [(&'static str, String); 2] {
    let page = browser.get("/authenticator").await;
    let secret = page.attributes("[data-secret]", "data-secret").remove(0);
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let code = TotpSecret::from_bytes(&secret).unwrap();
    let code = code.code(app.state.clock.now()).expose_secret().to_owned();
    [("setup", page.value_of("setup").unwrap()), ("token", code)]
}

async fn add_app(browser: &Browser, fields: &[(&'static str, String); 2]) -> Page {
    let fields = fields.each_ref().map(|(name, it)| (*name, it.as_str()));
    browser.post("/authenticator", &fields).await
}

#[tokio::test]
async fn the_form_of_the_first_app_leads_to_the_recovery_codes() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("harry").await;
    let fields = app_fields(&app, &browser).await;
    assert_eq!(codes(&add_app(&browser, &fields).await).len(), 10);
    assert_shown_once(&browser, &add_app(&browser, &fields).await).await;
    assert_eq!(app.recovery_codes_left("harry").await, 10);
}

#[tokio::test]
async fn the_form_of_another_app_has_expired() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    let fields = app_fields(&app, &browser).await;
    add_app(&browser, &fields).await.redirects_to("/security");
    let page = add_app(&browser, &fields).await;
    page.redirects_to("/authenticator");
    let page = browser.follow(&page).await;
    assert!(page.says("That page has expired."), "{}", page.text());
}

#[tokio::test]
async fn a_form_makes_one_set_of_recovery_codes() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    let set = browser.get("/recovery_codes").await.value_of("set");
    let set = set.unwrap();
    let renew = async || browser.post("/recovery_codes", &[("set", &set)]).await;
    let shown = codes(&renew().await);
    assert_eq!(shown.len(), 10);
    assert_shown_once(&browser, &renew().await).await;
    // The set that was shown stays.
    let pending = app.log_in_until_code("harry").await;
    pending.recover(&shown[0]).await.redirects_to("/home");
    // A used code doesn't change the set.
    let before = browser.get("/recovery_codes").await.value_of("set");
    let pending = app.log_in_until_code("harry").await;
    pending.recover(&shown[1]).await.redirects_to("/home");
    let page = browser.get("/recovery_codes").await;
    assert_eq!(page.value_of("set"), before);
    let set = before.unwrap();
    let page = browser.post("/recovery_codes", &[("set", &set)]).await;
    assert_eq!(codes(&page).len(), 10);
}

#[tokio::test]
async fn of_parallel_forms_one_makes_a_set() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    let set = browser.get("/recovery_codes").await.value_of("set");
    let set = set.unwrap();
    let fields = [("set", set.as_str())];
    let renew = || browser.post("/recovery_codes", &fields);
    let (one, two, three) = tokio::join!(renew(), renew(), renew());
    let mut statuses = [one.status, two.status, three.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 303, 303]);
}

#[tokio::test]
async fn a_program_without_the_field_gets_a_new_set_each_time() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    let first = codes(&browser.post("/recovery_codes", &[]).await);
    let request = browser
        .request(reqwest::Method::POST, "/recovery_codes")
        .header("sec-fetch-site", "same-origin");
    let second = codes(&browser.send(request).await);
    assert_eq!((first.len(), second.len()), (10, 10));
    assert_ne!(first, second);
}

#[tokio::test]
async fn the_number_of_a_set_is_no_code_and_an_unknown_one_makes_none() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("harry", PHONE).await;
    for set in ["", "x", "0000000000000000"] {
        let page = browser.post("/recovery_codes", &[("set", set)]).await;
        assert_shown_once(&browser, &page).await;
    }
    app.execute("DELETE FROM recovery_codes").await;
    let set = browser.get("/recovery_codes").await.value_of("set");
    assert_eq!(set.as_deref(), Some(""));
    let page = browser.post("/recovery_codes", &[("set", "")]).await;
    assert_eq!(codes(&page).len(), 10);
}
