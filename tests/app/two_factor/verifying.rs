//! Entering a code: right, wrong, malformed, too often, or too late.

use super::{
    assert_gone, assert_invalid_token, pending_login, register_and_log_in, two_factor_app,
    two_factor_login, wrong,
};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE};

/// ASVS 1.3.3, 4.2.5
#[tokio::test]
async fn a_malformed_code_is_an_invalid_token_that_is_neither_counted_nor_checked() {
    let (app, browser) = pending_login("harry").await;
    let code = app.last_code();
    let checks = app.phone().counters().checks;
    for token in [
        "",
        " ",
        "123",
        "12345678901",
        "12345a",
        "+12345",
        "12 34 5x",
        "１２３４５６",
        "1234\u{0}",
        "null",
        "%31%32%33%34",
        "123456; DROP TABLE users",
    ] {
        assert_invalid_token(&browser.verify(token).await);
    }
    assert_invalid_token(&browser.post("/verify_2fa", &[]).await);
    assert_invalid_token(&browser.post("/verify_2fa", &[("code", &code)]).await);
    assert_eq!(app.phone().counters().checks, checks);
    let counted = "SELECT MAX(checks) FROM challenges WHERE closed_at IS NULL";
    assert_eq!(app.count(counted).await, 0);
    browser.verify(&code).await.redirects_to("/home");
}

#[tokio::test]
async fn a_malformed_form_is_answered_with_a_page_and_not_counted() {
    let (app, browser) = pending_login("harry").await;
    let code = app.last_code();
    let twice = [("token", code.as_str()), ("token", code.as_str())];
    assert_eq!(browser.post("/verify_2fa", &twice).await.status, 422);
    let request = browser
        .request(reqwest::Method::POST, "/verify_2fa")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json")
        .body(format!("{{\"token\":\"{code}\"}}"));
    let page = browser.send(request).await;
    assert_eq!(page.status, 415);
    assert!(!browser.is_logged_in().await);
    let counted = "SELECT MAX(checks) FROM challenges WHERE closed_at IS NULL";
    assert_eq!(app.count(counted).await, 0);
}

#[tokio::test]
async fn blanks_and_dashes_in_a_code_do_not_matter() {
    let (app, browser) = pending_login("harry").await;
    let code = app.last_code();
    let typed = format!(" {}-{} ", &code[..3], &code[3..]);
    browser.verify(&typed).await.redirects_to("/home");
}

/// ASVS 2.3.2, 6.6.3
#[tokio::test]
async fn the_fifth_wrong_code_closes_the_challenge() {
    let (app, browser) = pending_login("harry").await;
    let code = app.last_code();
    for _ in 0..4 {
        let page = browser.verify(&wrong(&code)).await;
        assert_invalid_token(&page);
        assert!(!page.body.contains(&wrong(&code)));
    }
    let before = app.phone().counters();
    let page = browser.verify(&wrong(&code)).await;
    assert_eq!(page.status, 422);
    assert!(page.says("Invalid token") && page.says("That was your last try for this code."));
    assert_eq!(page.attributes("main form", "action"), [""; 0]);
    let links = page.attributes("main a", "href");
    assert_eq!(links, ["/login", "/login?recovery=1"]);
    let after = app.phone().counters();
    assert_eq!(after.checks - before.checks, 1);
    assert_eq!(
        after.cancels - before.cancels,
        1,
        "the code is canceled at Twilio too"
    );

    assert_gone(&browser, &code).await;
    browser.get("/verify_2fa").await.redirects_to("/login");
    for action in ["resend", "call", "cancel"] {
        let page = browser.post(&format!("/verify_2fa/{action}"), &[]).await;
        page.redirects_to("/login");
    }
    assert_eq!(app.phone().counters(), after);
}

#[tokio::test]
async fn the_fifth_wrong_code_closes_enabling_and_reauthentication_too() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(PHONE).await;
    let code = app.last_code();
    for _ in 0..4 {
        assert_invalid_token(&browser.verify(&wrong(&code)).await);
    }
    let page = browser.verify(&wrong(&code)).await;
    assert_eq!(page.attributes("main a", "href"), ["/enable_2fa"]);
    let page = browser.verify(&code).await;
    page.redirects_to("/home");
    assert!(browser.follow(&page).await.says("That code has expired."));
    assert_eq!(app.phone_of("harry").await, None);

    app.advance(30);
    app.enable(&browser, PHONE).await;
    let fields = [("password", PASSWORD)];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa");
    let code = app.last_code();
    for _ in 0..4 {
        assert_invalid_token(&browser.verify(&wrong(&code)).await);
    }
    let page = browser.verify(&wrong(&code)).await;
    let links = page.attributes("main a", "href");
    assert_eq!(links, ["/reauth", "/reauth?recovery=1"]);
    browser.verify(&code).await.redirects_to("/home");
    assert!(browser.is_logged_in().await, "the login itself stays");
}

/// ASVS 6.5.5
#[tokio::test]
async fn a_code_works_for_599_seconds_and_not_for_600() {
    let (app, browser) = pending_login("harry").await;
    app.advance(599);
    browser.verify(&app.last_code()).await.redirects_to("/home");

    let (app, browser) = pending_login("harry").await;
    app.advance(600);
    let checks = app.phone().counters().checks;
    assert_gone(&browser, &app.last_code()).await;
    assert_eq!(app.phone().counters().checks, checks, "Twilio is not asked");
}

#[tokio::test]
async fn a_late_code_enables_nothing() {
    let (app, browser) = register_and_log_in("harry").await;
    browser.add_phone(PHONE).await;
    app.advance(600);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert!(browser.follow(&page).await.says("That code has expired."));
    assert_eq!(app.phone_of("harry").await, None);
}

#[tokio::test]
async fn a_resend_does_not_extend_a_challenge() {
    let (app, browser) = pending_login("harry").await;
    app.advance(590);
    browser.request_code("/verify_2fa/resend").await;
    let code = app.last_code();
    app.advance(9);
    assert_invalid_token(&browser.verify(&wrong(&code)).await);
    app.advance(1);
    assert_gone(&browser, &code).await;
}

#[tokio::test]
async fn after_a_late_code_the_login_starts_again() {
    let (app, browser) = pending_login("harry").await;
    app.advance(600);
    for _ in 0..3 {
        let page = browser.verify("123456").await;
        page.redirects_to("/login");
    }
    let login = browser.get("/login").await;
    assert_eq!(login.alerts(), ["That code has expired."], "shown once");
    let page = browser.log_in("harry", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_canceled_login_is_closed() {
    let (app, browser) = pending_login("harry").await;
    let (code, copy) = (app.last_code(), browser.copy());
    let page = browser.post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/login");
    assert_eq!(browser.session_cookie(), None);
    assert_eq!(app.open_challenges().await, 0);
    assert_eq!(app.phone().counters().cancels, 1);
    for browser in [&browser, &copy] {
        let page = browser.verify(&code).await;
        page.redirects_to("/login?next=%2Fhome");
        assert!(!browser.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_canceled_reauthentication_leaves_the_login_stale() {
    let (app, browser) = two_factor_login("harry").await;
    app.advance(600);
    let fields = [("password", PASSWORD), ("next", "/disable_2fa")];
    let page = browser.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa");
    let code = app.last_code();
    let page = browser.post("/verify_2fa/cancel", &[]).await;
    page.redirects_to("/home");
    browser.verify(&code).await.redirects_to("/home");
    assert!(browser.is_logged_in().await);
    let page = browser.post("/disable_2fa", &[]).await;
    page.redirects_to("/reauth?next=%2Fdisable_2fa");
}

/// ASVS 14.2.4, 14.2.6
#[tokio::test]
async fn no_page_of_a_pending_challenge_holds_the_whole_number() {
    let (app, browser) = pending_login("harry").await;
    let page = browser.get("/verify_2fa").await;
    assert_eq!(page.alerts(), ["We texted a code to •••• 267"]);
    let mut pages = vec![page, browser.verify("1").await, browser.get("/login").await];
    pages.push(browser.post("/verify_2fa/resend", &[]).await);
    pages.push(browser.post("/verify_2fa/call", &[]).await);
    let code = wrong(&app.last_code());
    for _ in 0..5 {
        pages.push(browser.verify(&code).await);
    }
    let harry = app.browser();
    app.advance(30);
    let page = harry.log_in("harry", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    harry.verify(&app.last_code()).await.redirects_to("/home");
    for path in ["/home", "/user/harry", "/enable_2fa", "/disable_2fa"] {
        pages.push(harry.get(path).await);
    }
    // Except the page where the number is being added.
    harry.add_phone(OTHER_PHONE).await;
    let adding = harry.get("/verify_2fa").await;
    assert_eq!(
        adding.alerts(),
        [format!("We texted a code to {OTHER_PHONE}")]
    );
    for page in &pages {
        for number in [PHONE, OTHER_PHONE] {
            let digits = &number[4..];
            assert!(!page.body.contains(digits), "{}", page.text());
        }
    }
    assert!(!adding.body.contains(&PHONE[4..]));
}

/// ASVS 2.3.1
#[tokio::test]
async fn a_session_without_a_challenge_is_redirected() {
    let (app, user) = two_factor_login("harry").await;
    let guest = app.browser();
    for (browser, to) in [(&guest, "/login?next=%2Fhome"), (&user, "/home")] {
        browser.get("/verify_2fa").await.redirects_to(to);
        browser.verify("123456").await.redirects_to(to);
        for action in ["resend", "call", "cancel"] {
            let page = browser.post(&format!("/verify_2fa/{action}"), &[]).await;
            page.redirects_to(to);
        }
    }
    assert!(user.get("/home").await.says("There is no code to enter."));
}

#[tokio::test]
async fn a_missing_next_leads_home() {
    let app = two_factor_app("harry").await;
    for next in [None, Some(""), Some("None"), Some("//evil.example")] {
        let browser = app.browser();
        let mut fields = vec![("username", "harry"), ("password", PASSWORD)];
        fields.extend(next.map(|next| ("next", next)));
        let page = browser.post("/login", &fields).await;
        page.redirects_to("/verify_2fa");
        browser.verify(&app.last_code()).await.redirects_to("/home");
    }
}

#[tokio::test]
async fn a_deleted_user_is_logged_out() {
    let (app, user) = two_factor_login("harry").await;
    let pending = app.log_in_until_code("harry").await;
    let code = app.last_code();
    app.execute("DELETE FROM users").await;
    for browser in [&user, &pending] {
        for page in [browser.verify(&code).await, browser.get("/home").await] {
            page.redirects_to("/login?next=%2Fhome");
        }
    }
}
