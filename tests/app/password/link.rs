//! `/reset_password/{token}`: the emailed link and its cookies.

use reqwest::Method;
use reqwest::header::COOKIE;

use super::{EXPIRED, LINKS, NEW, assert_password, reset, with_link};
use crate::logs;
use crate::support::{PASSWORD, TestApp};

const REQUEST: &str = "/reset_password_request";

/// ASVS 6.4.1, 11.5.1, 14.2.1, 16.2.5
#[tokio::test]
async fn attack_22_the_token_goes_into_a_cookie_and_nowhere_else() {
    logs::keep();
    logs::take();
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.reset_link("alice").await;
    let token = link.rsplit('/').next().unwrap().to_owned();
    assert_eq!(token.len(), 43, "256 bits");
    let browser = app.browser();
    let page = browser.get(&link).await;
    page.redirects_to("/reset_password");
    let kept = "HttpOnly; SameSite=Lax; Path=/; Max-Age=1800";
    assert_eq!(page.set_cookies(), [format!("reset_token={token}; {kept}")]);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    let form = browser.follow(&page).await;
    assert_eq!(form.status, 200);
    assert!(form.text().contains("alice"), "the account of the link");
    let refused = reset(&browser, "short").await;
    let done = reset(&browser, NEW).await;
    done.redirects_to("/login");
    let removed = done.set_cookies();
    assert!(removed[0].starts_with("reset_token=; HttpOnly; SameSite=Lax; Path=/;"));
    assert!(removed[0].contains("Max-Age=0"), "{removed:?}");
    for page in [&form, &refused, &done] {
        assert!(!page.body.contains(&token));
        assert!(!format!("{:?}", page.headers).contains(&token));
    }
    assert_eq!(browser.cookie("reset_token"), None);
    // Invalid and used tokens are in no log either, nor are passwords.
    browser.get(&link).await;
    browser.get(&format!("{link}x")).await;
    let lines = logs::take().join("\n");
    assert!(lines.contains("route=/reset_password/{token} "), "{lines}");
    assert!(lines.contains("password_reset"));
    assert!(!lines.contains(&token) && !lines.contains(NEW));
    let bytes = app.database_bytes().await;
    let found = bytes
        .windows(token.len())
        .any(|part| part == token.as_bytes());
    assert!(!found, "the database holds the token in clear");
}

/// ASVS 3.3.1, 3.3.2
#[tokio::test]
async fn in_production_the_cookies_are_for_this_host_over_https() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.register("alice").await;
    let browser = app.browser();
    let page = browser.get(&app.reset_link("alice").await).await;
    let cookie = page.set_cookies()[0];
    assert!(cookie.starts_with("__Host-reset_token="), "{cookie}");
    let attributes = "; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1800";
    assert!(cookie.ends_with(attributes), "{cookie}");
    let done = reset(&browser, NEW).await;
    done.redirects_to("/login");
    let removed = done.set_cookies().join("\n");
    assert!(removed.contains("__Host-reset_token=; HttpOnly; SameSite=Lax; Secure; Path=/;"));
    let page = app.browser().get("/reset_password/x").await;
    let cookie = page.set_cookies()[0];
    assert!(cookie.starts_with("__Host-reset_expired=1; HttpOnly; SameSite=Lax; Secure; Path=/;"));
}

#[tokio::test]
async fn attack_08_opening_the_link_consumes_nothing() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let (link, before) = (app.reset_link("alice").await, app.dump().await);
    let browser = app.browser();
    for _ in 0..3 {
        for page in [
            app.browser().head(&link).await,
            app.browser().get(&link).await,
        ] {
            page.redirects_to("/reset_password");
        }
        browser.get(&link).await;
        for page in [
            browser.head("/reset_password").await,
            browser.get("/reset_password").await,
        ] {
            assert_eq!(page.status, 200);
        }
        // Neither does an invalid form.
        assert_eq!(reset(&browser, "short").await.status, 422);
    }
    assert_eq!(app.dump().await, before);
    assert_eq!(app.count(LINKS).await, 1);
    reset(&browser, NEW).await.redirects_to("/login");
}

#[tokio::test]
async fn an_invalid_link_redirects_to_the_request_form() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let good = app.reset_link("alice").await;
    let before = app.dump().await;
    for link in [
        "/reset_password/x".to_owned(),
        format!("{good}A"),
        good[..good.len() - 1].to_owned(),
        good.to_uppercase()
            .replace("/RESET_PASSWORD", "/reset_password"),
        "/reset_password/%00".to_owned(),
        "/reset_password/%ff".to_owned(),
        "/reset_password/%0d%0aX-Evil:1".to_owned(),
        format!("/reset_password/{}", "a".repeat(5000)),
        "/reset_password".to_owned(),
    ] {
        let browser = app.browser();
        let page = browser.get(&link).await;
        page.redirects_to(REQUEST);
        assert_eq!(page.set_cookie(), None);
        let expected = "reset_expired=1; HttpOnly; SameSite=Lax; Path=/; Max-Age=60";
        assert_eq!(page.set_cookies(), [expected], "{link}");
        browser.head(REQUEST).await;
        assert!(browser.get(REQUEST).await.says(EXPIRED), "{link}");
        assert!(browser.get(REQUEST).await.alerts().is_empty(), "shown once");
    }
    assert_eq!(app.dump().await, before, "no session was created");
    let page = app.browser().get("/reset_password/a/b").await;
    assert_eq!(page.status, 404);
}

#[tokio::test]
async fn with_a_session_the_expiry_message_is_kept_in_it() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let page = alice.get("/reset_password/x").await;
    page.redirects_to(REQUEST);
    assert!(page.set_cookies().is_empty());
    let page = alice.follow(&page).await;
    page.redirects_to("/home");
    assert!(alice.follow(&page).await.says(EXPIRED));
    let guest = app.browser();
    guest.register("bob", "bob@example.com", PASSWORD).await;
    guest.get("/reset_password").await.redirects_to(REQUEST);
    assert!(guest.get(REQUEST).await.says(EXPIRED));
}

/// ASVS 6.4.1
#[tokio::test]
async fn attack_08_a_link_expires_after_thirty_minutes() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.reset_link("alice").await;
    let browser = app.browser();
    browser.get(&link).await.redirects_to("/reset_password");
    app.advance(1799);
    app.browser()
        .get(&link)
        .await
        .redirects_to("/reset_password");
    assert_eq!(browser.get("/reset_password").await.status, 200);
    app.advance(1);
    app.browser().get(&link).await.redirects_to(REQUEST);
    browser.get("/reset_password").await.redirects_to(REQUEST);
    reset(&browser, NEW).await.redirects_to(REQUEST);
    assert_password(&app, "alice", PASSWORD, NEW).await;

    let browser = with_link(&app, "alice").await;
    app.advance(1799);
    reset(&browser, NEW).await.redirects_to("/login");
}

#[tokio::test]
async fn a_tampered_cookie_is_ignored() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.reset_link("alice").await;
    let good = link.rsplit('/').next().unwrap();
    let hash: String = sqlx::query_scalar("SELECT token_hash FROM mail_tokens")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    for value in [
        "",
        "x",
        &good[1..],
        &format!("{good}="),
        &hash,
        "' OR 1=1 --",
        "%00",
    ] {
        let browser = app.browser();
        browser.set_cookie("reset_token", value);
        browser.get("/reset_password").await.redirects_to(REQUEST);
        reset(&browser, NEW).await.redirects_to(REQUEST);
    }
    assert_password(&app, "alice", PASSWORD, NEW).await;
}

#[tokio::test]
async fn a_not_me_link_sets_no_password() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.reset_link("alice").await;
    app.execute("UPDATE mail_tokens SET purpose = 'not_me', event = '\"password_changed\"'")
        .await;
    app.browser().get(&link).await.redirects_to(REQUEST);
}

#[tokio::test]
async fn a_cookie_must_have_its_exact_name_and_no_duplicate() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.reset_link("alice").await;
    let good = link.rsplit('/').next().unwrap();
    for cookie in [
        format!("%72eset_token={good}"),
        format!("reset%5Ftoken={good}"),
        format!("Reset_token={good}"),
        format!("reset_token={good}; reset_token={good}"),
        format!("reset_token=x; reset_token={good}"),
    ] {
        let request = app.browser().request(Method::GET, "/reset_password");
        let page = app.browser().send(request.header(COOKIE, &cookie)).await;
        page.redirects_to(REQUEST);
    }
    let request = app.browser().request(Method::GET, "/reset_password");
    let cookie = format!("other=\u{fc}; reset_token={good}; %72eset_token=x");
    let page = app
        .browser()
        .send(request.header(COOKIE, cookie.into_bytes()))
        .await;
    assert_eq!(page.status, 200);
    let request = app.browser().request(Method::GET, REQUEST);
    let page = app
        .browser()
        .send(request.header(COOKIE, "reset%5Fexpired=1"))
        .await;
    assert!(page.alerts().is_empty());
}
