//! The link: its cookie, its expiry, its single use, and that it leaks nowhere.

use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};
use twostep::models::mail_token::{LinkPurpose, LinkUse, MailToken};
use twostep::models::outbox::NoticeKind;
use twostep::models::token::Token;

use super::{DAY, EXPIRED, assert_done, assert_expired, press, press_again};
use crate::logs;
use crate::support::{NOW, PHONE, Page, TestApp};

/// ASVS 6.3.6
#[tokio::test]
async fn the_cookie_must_have_its_exact_name_and_no_duplicate() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let token = link.rsplit('/').next().unwrap();
    for (cookie, is_shown) in [
        (format!("not_me_token={token}"), true),
        (format!("%6eot_me_token={token}"), false),
        (format!("not%5Fme%5Ftoken={token}"), false),
        (format!("not_me_token=x; not_me_token={token}"), false),
    ] {
        let request = app.browser().request(Method::GET, "/not_me");
        let page = app.browser().send(request.header(COOKIE, &cookie)).await;
        assert_eq!(page.says(EXPIRED), !is_shown, "{cookie}");
    }
}

#[tokio::test]
async fn opening_the_link_consumes_nothing() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::LoginAfterFailures).await;
    let scanner = app.browser();
    let before = app.dump().await;
    for _ in 0..3 {
        scanner.head(&link).await.redirects_to("/not_me");
        scanner.get(&link).await.redirects_to("/not_me");
        scanner.head("/not_me").await;
        let page = scanner.get("/not_me").await;
        assert!(page.text().contains("harry"));
        assert!(page.text().contains("after several wrong passwords"));
        assert!(!page.body.contains(link.trim_start_matches("/not_me/")));
    }
    assert_eq!(app.dump().await, before);
    assert_done(&press(&app.browser(), &link).await);
}

#[tokio::test]
async fn a_link_works_once_even_in_parallel() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let browser = app.browser();
    browser.get(&link).await;
    let uses = (0..20).map(|_| {
        let browser = browser.copy();
        async move { press_again(&browser).await }
    });
    let tasks: Vec<_> = uses.map(tokio::spawn).collect();
    let mut done = 0;
    for task in tasks {
        let page = task.await.unwrap();
        if page.status == 200 {
            done += 1;
        } else {
            page.redirects_to("/not_me");
        }
    }
    assert_eq!(done, 1);
    assert_eq!(app.mails("harry").await.len(), 1);
    assert_expired(&app, &link).await;
    press_again(&browser).await.redirects_to("/not_me");
    assert!(browser.get("/not_me").await.says(EXPIRED));
}

#[tokio::test]
async fn a_link_expires_after_a_day() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let late = app.browser();
    late.get(&link).await.redirects_to("/not_me");
    app.advance(DAY - 1);
    assert!(!late.get("/not_me").await.says(EXPIRED));
    let in_time = app.not_me("harry", NoticeKind::PasswordReset).await;
    app.advance(1);
    assert_expired(&app, &link).await;
    // Opened in time, pressed too late.
    press_again(&late).await.redirects_to("/not_me");
    assert!(late.get("/not_me").await.says(EXPIRED));
    app.advance(DAY - 2);
    assert_done(&press(&app.browser(), &in_time).await);
}

/// An older link could restore an intruder's number.
#[tokio::test]
async fn a_link_expires_at_most_two_days_after_the_event() {
    let purpose = LinkPurpose::NotMe {
        event: NoticeKind::PasswordChanged,
    };
    let day = i64::try_from(DAY).unwrap();
    for (age, life) in [
        (0, day),
        (day, day),
        (day + 1, day - 1),
        (2 * day - 1, 1),
        (2 * day, 0),
    ] {
        let app = TestApp::keeping_mail().await;
        app.register("harry").await;
        let token = app.mailed_about("harry", &purpose, NOW - age).await;
        let link = format!("/not_me/{token}");
        if life > 0 {
            app.advance(u64::try_from(life).unwrap() - 1);
            app.browser().get(&link).await.redirects_to("/not_me");
            app.advance(1);
        }
        assert_expired(&app, &link).await;
    }
}

#[tokio::test]
async fn an_expired_link_cannot_be_consumed() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let token = Token::received(link.trim_start_matches("/not_me/"));
    let (database, now) = (&app.pool, app.state.clock.now());
    let found = MailToken::find_not_me(database, &token, now).await.unwrap();
    let found = found.unwrap();
    let mut connection = database.acquire().await.unwrap();
    let end = now + 24 * 60 * 60;
    for (now, expected) in [
        (end, LinkUse::Expired),
        (end - 1, LinkUse::Consumed),
        (end - 1, LinkUse::Expired),
    ] {
        let outcome = found.consume(&mut connection, now).await.unwrap();
        assert_eq!(outcome, expected, "{now}");
    }
}

#[tokio::test]
async fn other_tokens_are_not_links() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    let reset = app.mailed("harry", &LinkPurpose::ResetPassword).await;
    let session = harry.session_cookie().unwrap();
    let long = "a".repeat(2000);
    for token in [
        &reset, &session, "invented", "%00", "%ff", "'", "a%2Fb", &long,
    ] {
        assert_expired(&app, &format!("/not_me/{token}")).await;
    }
    assert!(harry.is_logged_in().await);
}

#[tokio::test]
async fn an_invalid_link_replaces_a_valid_one_in_the_cookie() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
    let browser = app.browser();
    browser.get(&link).await;
    browser
        .get("/not_me/invented")
        .await
        .redirects_to("/not_me");
    assert!(browser.get("/not_me").await.says(EXPIRED));
}

#[tokio::test]
async fn the_token_is_kept_in_a_short_lived_cookie_that_is_for_this_host_in_production() {
    let cookie = |page: &Page| {
        let cookie = page.headers.get(SET_COOKIE).unwrap().to_str().unwrap();
        let mut parts: Vec<String> = cookie.split("; ").map(str::to_owned).collect();
        let pair = parts.remove(0);
        parts.sort();
        (pair, parts.join(" "))
    };
    for (app, name, secure) in [
        (TestApp::keeping_mail().await, "not_me_token", ""),
        (
            TestApp::production("http://127.0.0.1:9").await,
            "__Host-not_me_token",
            " Secure",
        ),
    ] {
        app.register("harry").await;
        let link = app.not_me("harry", NoticeKind::PasswordChanged).await;
        let browser = app.browser();
        let (pair, attributes) = cookie(&browser.get(&link).await);
        let token = link.trim_start_matches("/not_me/");
        assert_eq!(pair, format!("{name}={token}"));
        let expected = format!("HttpOnly Max-Age=900 Path=/ SameSite=Lax{secure}");
        assert_eq!(attributes, expected);
        let page = browser.get("/not_me").await;
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        let (pair, attributes) = cookie(&press_again(&browser).await);
        assert_eq!(pair, format!("{name}="));
        assert!(attributes.contains("Max-Age=0") && attributes.contains("Path=/"));
    }
}

#[tokio::test]
async fn attack_22_no_token_and_no_number_is_in_the_log() {
    logs::keep();
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let event = NoticeKind::TwoFactorDisabled;
    let link = app.not_me("harry", event).await;
    assert_done(&press(&app.browser(), &link).await);
    let lines = logs::take().join("\n");
    assert!(lines.contains("event=\"not_me\""), "{lines}");
    let token = link.trim_start_matches("/not_me/");
    assert!(!lines.contains(token) && !lines.contains(&PHONE[4..]));
    let bytes = app.database_bytes().await;
    assert!(!bytes.windows(token.len()).any(|it| it == token.as_bytes()));
}
