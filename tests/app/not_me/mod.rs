//! The "This wasn't me" link.

mod factor;
mod recovery_codes;

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};
use twostep::models::mail_token::{LinkPurpose, LinkUse, MailToken};
use twostep::models::outbox::{Mail, NoticeKind};
use twostep::models::token::Token;

use crate::logs;
use crate::support::{Browser, NOW, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

const DAY: u64 = 24 * 60 * 60;
const EXPIRED: &str = "This link has expired.";
pub const EVENTS: [NoticeKind; 12] = [
    NoticeKind::PasswordChanged,
    NoticeKind::PasswordReset,
    NoticeKind::TwoFactorEnabled,
    NoticeKind::PhoneChanged,
    NoticeKind::TwoFactorDisabled,
    NoticeKind::Renamed,
    NoticeKind::ManyWrongPasswords,
    NoticeKind::LoginAfterFailures,
    NoticeKind::UnfinishedLogin,
    NoticeKind::RecoveryCodeUsed,
    NoticeKind::RecoveryCodesRenewed,
    NoticeKind::TwoFactorResetByOperator,
];

/// Follows the link and presses the button.
async fn press(browser: &Browser, link: &str) -> Page {
    browser.get(link).await.redirects_to("/not_me");
    press_again(browser).await
}

/// Presses the button, if the page has one.
async fn press_again(browser: &Browser) -> Page {
    let link = browser.get("/not_me").await.value_of("link");
    let link = link.unwrap_or_default();
    browser.post("/not_me", &[("link", &link)]).await
}

#[track_caller]
fn is_done(page: &Page) {
    assert_eq!(page.status, 200, "{:?}", page.location());
    assert_eq!(page.first("h1").as_deref(), Some("Your account is locked"));
}

async fn is_expired(app: &TestApp, link: &str) {
    let browser = app.browser();
    let opened = browser.get(link).await;
    opened.redirects_to("/not_me");
    assert_eq!(opened.set_cookie(), None);
    assert!(browser.follow(&opened).await.says(EXPIRED));
    let before = app.dump().await;
    press_again(&browser).await.redirects_to("/not_me");
    assert_eq!(app.dump().await, before);
}

/// ASVS 6.3.6
#[tokio::test]
async fn the_cookie_must_have_its_exact_name_and_no_duplicate() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
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
async fn the_button_revokes_all_access_and_does_not_log_in() {
    for event in EVENTS {
        let app = TestApp::keeping_mail().await;
        let alice = app.with_two_factor("alice", PHONE).await;
        let other = app.register_and_log_in("harry").await;
        app.advance(31);
        let half = app.log_in_until_code("alice").await;
        let code = app.last_code();
        let version = "SELECT auth_version FROM users WHERE username_key = 'alice'";
        let before = app.count(version).await;
        app.empty_outbox().await;

        let mailbox = app.browser();
        let link = app.not_me("alice", event, Some(OTHER_PHONE)).await;
        is_done(&press(&mailbox, &link).await);
        assert!(!mailbox.is_logged_in().await);
        assert_eq!(mailbox.session_cookie(), None);
        assert!(!alice.is_logged_in().await);
        half.verify(&code).await.redirects_to("/login");
        assert!(!half.is_logged_in().await);
        assert!(app.count(version).await > before);
        assert!(other.is_logged_in().await, "another account was logged out");
        let [(Mail::ResetPassword, _)] = app.mails("alice").await[..] else {
            panic!("{event:?}: {:?}", app.mails("alice").await);
        };
        let open = "SELECT COUNT(*) FROM challenges WHERE closed_at IS NULL";
        assert_eq!(app.count(open).await, 0);
    }
}

#[tokio::test]
async fn the_password_does_not_work_until_a_new_one_is_set() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    let hash = "SELECT COUNT(*) FROM users WHERE password_hash = '!'";
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    is_done(&press(&app.browser(), &link).await);
    assert_eq!(app.count(hash).await, 1);
    for password in [PASSWORD, "!", "", "a wrong one"] {
        let page = app.browser().log_in("harry", password).await;
        assert_eq!(page.status, 422);
        assert!(page.says("Invalid username or password"));
    }
    assert!(!harry.is_logged_in().await);
    // A reset link that is sent from now on is valid.
    let reset = app.mailed("harry", &LinkPurpose::ResetPassword).await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let reset = Token::received(&reset);
    let found = MailToken::find_reset(database, &reset, now).await.unwrap();
    assert!(found.is_some());
    app.register("ron").await;
    app.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users \
         WHERE username_key = 'ron') WHERE username_key = 'harry'",
    )
    .await;
    let page = app.browser().log_in("harry", PASSWORD).await;
    page.redirects_to("/home");
}

#[tokio::test]
async fn attack_13_an_unusable_password_takes_as_long_as_a_wrong_one() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    app.register("ron").await;
    let link = app.not_me("harry", NoticeKind::PasswordReset, None).await;
    is_done(&press(&app.browser(), &link).await);
    let browser = app.browser();
    let mut times = [Duration::MAX; 2];
    let are_close = |[a, b]: [Duration; 2]| a * 2 > b && b * 2 > a;
    // On a busy machine, even the fastest of 15 attempts may be slow.
    for round in 0..60 {
        if round >= 15 && are_close(times) {
            break;
        }
        app.advance(120); // so that no limit is met
        for (name, time) in ["harry", "ron"].iter().zip(&mut times) {
            let started = Instant::now();
            let page = browser.log_in(name, "a wrong one").await;
            assert_eq!(page.status, 422);
            *time = started.elapsed().min(*time);
        }
    }
    assert!(are_close(times), "{times:?}");
}

#[tokio::test]
async fn opening_the_link_consumes_nothing() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app
        .not_me("harry", NoticeKind::LoginAfterFailures, None)
        .await;
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
    is_done(&press(&app.browser(), &link).await);
}

#[tokio::test]
async fn a_link_works_once_even_in_parallel() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
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
    is_expired(&app, &link).await;
    press_again(&browser).await.redirects_to("/not_me");
    assert!(browser.get("/not_me").await.says(EXPIRED));
}

#[tokio::test]
async fn a_link_expires_after_a_day() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    let late = app.browser();
    late.get(&link).await.redirects_to("/not_me");
    app.advance(DAY - 1);
    assert!(!late.get("/not_me").await.says(EXPIRED));
    let in_time = app.not_me("harry", NoticeKind::PasswordReset, None).await;
    app.advance(1);
    is_expired(&app, &link).await;
    // Opened in time, pressed too late.
    press_again(&late).await.redirects_to("/not_me");
    assert!(late.get("/not_me").await.says(EXPIRED));
    app.advance(DAY - 2);
    is_done(&press(&app.browser(), &in_time).await);
}

/// An older link could restore an intruder's number.
#[tokio::test]
async fn a_link_expires_at_most_two_days_after_the_event() {
    let purpose = LinkPurpose::NotMe {
        event: NoticeKind::PasswordChanged,
        former_phone: None,
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
        is_expired(&app, &link).await;
    }
}

#[tokio::test]
async fn an_expired_link_cannot_be_consumed() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
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
        is_expired(&app, &format!("/not_me/{token}")).await;
    }
    assert!(harry.is_logged_in().await);
}

#[tokio::test]
async fn an_invalid_link_replaces_a_valid_one_in_the_cookie() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    let browser = app.browser();
    browser.get(&link).await;
    browser
        .get("/not_me/invented")
        .await
        .redirects_to("/not_me");
    assert!(browser.get("/not_me").await.says(EXPIRED));
}

#[tokio::test]
async fn a_link_locks_its_own_account_whoever_is_logged_in() {
    let app = TestApp::keeping_mail().await;
    let (harry, ron) = (
        app.register_and_log_in("harry").await,
        app.register_and_log_in("ron").await,
    );
    let link = app.not_me("ron", NoticeKind::PasswordChanged, None).await;
    let page = press(&harry, &link).await;
    is_done(&page);
    assert!(harry.is_logged_in().await && !ron.is_logged_in().await);
    assert!(app.mails("harry").await.is_empty());

    // This browser's own session of the account ends too.
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    let page = press(&harry, &link).await;
    is_done(&page);
    assert!(page.all("nav a").contains(&"Log in".to_owned()));
    assert_eq!(harry.session_cookie(), None);
    assert!(!harry.is_logged_in().await);
}

#[tokio::test]
async fn the_button_revokes_all_other_links_of_the_account() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    app.register("ron").await;
    let reset = app.mailed("harry", &LinkPurpose::ResetPassword).await;
    let other = app
        .not_me("harry", NoticeKind::LoginAfterFailures, None)
        .await;
    let rons = app
        .not_me("ron", NoticeKind::LoginAfterFailures, None)
        .await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    is_done(&press(&app.browser(), &link).await);
    is_expired(&app, &other).await;
    let (database, now) = (&app.pool, app.state.clock.now());
    let reset = Token::received(&reset);
    let found = MailToken::find_reset(database, &reset, now).await.unwrap();
    assert!(found.is_none());
    is_done(&press(&app.browser(), &rons).await);
}

/// ASVS 2.3.3
#[tokio::test]
async fn a_failure_changes_nothing_and_keeps_the_link() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
    let mailbox = app.browser();
    mailbox.get(&link).await;
    let before = app.dump().await;
    app.execute("ALTER TABLE outbox RENAME TO lost").await;
    assert_eq!(press_again(&mailbox).await.status, 500);
    app.execute("ALTER TABLE lost RENAME TO outbox").await;
    assert_eq!(app.dump().await, before);
    assert!(harry.is_logged_in().await);
    is_done(&press_again(&mailbox).await);
}

#[tokio::test]
async fn a_parallel_login_does_not_survive_the_button() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    for _ in 0..5 {
        let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
        let (mailbox, intruder) = (app.browser(), app.browser());
        mailbox.get(&link).await;
        let (done, _) = tokio::join!(press_again(&mailbox), intruder.log_in("harry", PASSWORD));
        is_done(&done);
        assert!(!intruder.is_logged_in().await);
    }
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
        let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
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
    let link = app.not_me("harry", event, Some(PHONE)).await;
    is_done(&press(&app.browser(), &link).await);
    let lines = logs::take().join("\n");
    assert!(lines.contains("event=\"not_me\""), "{lines}");
    let token = link.trim_start_matches("/not_me/");
    assert!(!lines.contains(token) && !lines.contains(&PHONE[4..]));
    let bytes = app.database_bytes().await;
    assert!(!bytes.windows(token.len()).any(|it| it == token.as_bytes()));
}
