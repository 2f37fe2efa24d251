//! Entering a recovery code in place of a code from the phone.

use twostep::dev::simulator::Failure;
use twostep::models::outbox::{Mail, NoticeKind};

use super::{INVALID, WRONG, alice_of, assert_invalid, codes_on};
use crate::logs;
use crate::notices::only_notice;
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};
use crate::two_factor::wrong;

const PAGE: &str = "/verify_2fa/recovery";

#[tokio::test]
async fn the_code_page_and_the_recovery_page_link_to_each_other() {
    let app = TestApp::start().await;
    alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let page = pending.get("/verify_2fa").await;
    let links = page.attributes("main a", "href");
    assert!(links.contains(&PAGE.to_owned()), "{links:?}");
    let page = pending.get(PAGE).await;
    assert_eq!(page.first("h1").as_deref(), Some("Use a recovery code"));
    assert_eq!(page.attributes("main a", "href"), ["/verify_2fa"]);
    let field = |name| page.attributes("input[name=recovery_code]", name);
    assert_eq!(field("autocapitalize"), ["characters"]);
    assert_eq!(field("spellcheck"), ["false"]);
    assert_eq!(field("type"), ["text"]);
}

#[tokio::test]
async fn a_recovery_code_is_offered_if_no_code_can_be_sent() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let refused = pending.post("/verify_2fa/resend", &[]).await;
    assert_eq!(refused.status, 429);
    pending.post("/verify_2fa/cancel", &[]).await;
    app.advance(31);
    app.phone().fail_with(Some(Failure::Status(500, None)));
    let pending = app.log_in_until_code("alice").await;
    let unsent = pending.get("/verify_2fa").await;
    assert!(unsent.says("Try again, or use a recovery code."));
    for page in [refused, unsent] {
        let links = page.attributes("main a", "href");
        assert!(links.contains(&PAGE.to_owned()), "{links:?}");
    }
    pending.recover(&codes[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn it_completes_a_login_with_next_and_remember_me() {
    let app = TestApp::keeping_mail().await;
    let (_, codes) = alice_of(&app).await;
    app.empty_outbox().await;
    let browser = app.browser();
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember_me", "y"),
        ("next", "/edit_profile"),
    ];
    let page = browser.post("/login", &fields).await;
    page.redirects_to("/verify_2fa");
    let (pending, sent) = (browser.session_cookie(), app.last_code());
    let cancels = app.phone().counters().cancels;

    let page = browser.recover(&codes[0].to_lowercase()).await;
    page.redirects_to("/edit_profile");
    let cookie = page.set_cookie().unwrap();
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    assert_ne!(browser.session_cookie(), pending);
    let next = browser.follow(&page).await;
    assert!(next.says("You used a recovery code. It no longer works. 9 recovery codes are left."));
    assert_eq!(app.recovery_codes_left("alice").await, 9);
    let closed = "SELECT COUNT(*) FROM challenges WHERE outcome = 'recovered'";
    assert_eq!(app.count(closed).await, 1);
    assert_eq!(app.phone().counters().cancels - cancels, 1);
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'logged_in_with_recovery_code'";
    assert_eq!(app.count(recorded).await, 1);

    // The notice replaces that of an unfinished login.
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::RecoveryCodeUsed);
    assert_eq!(notice.recovery_codes_left, Some(9));
    let former = app.browser();
    former.set_session_cookie(&pending.unwrap());
    former
        .verify(&sent)
        .await
        .redirects_to("/login?next=%2Fhome");
    assert!(!former.is_logged_in().await);
}

/// ASVS 6.4.4
#[tokio::test]
async fn it_completes_a_reauthentication() {
    let app = TestApp::keeping_mail().await;
    let (alice, codes) = alice_of(&app).await;
    app.advance(600);
    app.empty_outbox().await;
    let fields = [("password", PASSWORD), ("next", "/recovery_codes")];
    let page = alice.post("/reauth", &fields).await;
    page.redirects_to("/verify_2fa");
    let before = alice.session_cookie();
    assert!(alice.get(PAGE).await.text().contains("Confirm it's you"));
    assert_invalid(&alice.recover(WRONG).await);
    alice
        .get("/recovery_codes")
        .await
        .redirects_to("/reauth?next=%2Frecovery_codes");
    let page = alice.recover(&codes[0]).await;
    page.redirects_to("/recovery_codes");
    assert_ne!(alice.session_cookie(), before);
    let page = alice.follow(&page).await;
    assert_eq!(page.status, 200);
    assert!(page.says("You used a recovery code. It no longer works."));
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::RecoveryCodeUsed);
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'reauthenticated'";
    assert_eq!(app.count(recorded).await, 1);
    alice.get(PAGE).await.redirects_to("/home");
}

#[tokio::test]
async fn adding_a_phone_accepts_no_recovery_code() {
    let app = TestApp::start().await;
    let (alice, codes) = alice_of(&app).await;
    app.advance(31);
    alice.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let before = app.dump().await;
    alice.get(PAGE).await.redirects_to("/verify_2fa");
    for code in [codes[0].as_str(), WRONG, ""] {
        alice.recover(code).await.redirects_to("/verify_2fa");
    }
    assert_eq!(app.dump().await, before);
    let page = alice.get("/verify_2fa").await;
    assert!(!page.text().contains("recovery"));
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn an_empty_field_does_not_count_as_a_wrong_code() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    for _ in 0..10 {
        assert_invalid(&pending.recover(" \t").await);
        let page = pending.post(PAGE, &[("other", "x")]).await;
        assert_eq!(page.error_at("recovery_code").as_deref(), Some(INVALID));
    }
    assert_eq!(super::limits::counted(&app, "alice").await, 0);
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'wrong_recovery_code'";
    assert_eq!(app.count(recorded).await, 0);
    pending.recover(&codes[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn a_recovery_code_after_ten_minutes_is_refused_and_stays_unused() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    app.advance(600);
    let page = pending.recover(&codes[0]).await;
    page.redirects_to("/login");
    assert!(pending.follow(&page).await.says("That code has expired."));
    let pending = app.log_in_until_code("alice").await;
    app.advance(599);
    pending.recover(&codes[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn after_five_wrong_codes_from_the_phone_a_recovery_code_is_refused() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let code = wrong(&app.last_code());
    for _ in 0..5 {
        pending.verify(&code).await;
    }
    pending.recover(&codes[0]).await.redirects_to("/login");
    assert!(!pending.is_logged_in().await);
    assert_eq!(app.recovery_codes_left("alice").await, 10);
}

#[tokio::test]
async fn after_a_recovery_code_the_next_login_sends_a_code_at_once() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let page = pending.recover(&codes[0]).await;
    page.redirects_to("/home");
    // Without "remember me", the session ends with the browser.
    assert!(!page.set_cookie().unwrap().contains("Max-Age"));
    let sent = app.messages_sent();
    let pending = app.log_in_until_code("alice").await;
    assert_eq!(app.messages_sent(), sent + 1, "a new code is sent");
    pending.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_notice_of_an_unfinished_login_is_withdrawn_and_sent_for_the_next_one() {
    let app = TestApp::keeping_mail().await;
    let (_, codes) = alice_of(&app).await;
    app.empty_outbox().await;
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[0]).await.redirects_to("/home");
    app.empty_outbox().await;
    app.log_in_until_code("alice").await;
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::UnfinishedLogin);
}

#[tokio::test]
async fn a_login_that_fails_with_an_error_uses_no_code() {
    let app = TestApp::keeping_mail().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let logins = app.logins().await;
    app.execute("ALTER TABLE activity RENAME TO lost").await;
    assert_eq!(pending.recover(&codes[0]).await.status, 500);
    app.execute("ALTER TABLE lost RENAME TO activity").await;
    assert_eq!(app.recovery_codes_left("alice").await, 10);
    assert_eq!(app.logins().await, logins);
    assert_eq!(app.open_challenges().await, 1);
    assert!(!pending.is_logged_in().await);
    pending.recover(&codes[0]).await.redirects_to("/home");
}

/// ASVS 6.4.4
#[tokio::test]
async fn after_a_login_with_a_recovery_code_the_phone_can_be_changed_at_once() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[0]).await.redirects_to("/home");
    pending
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let page = pending.verify(&app.last_code()).await;
    page.redirects_to("/user/alice");
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(OTHER_PHONE));
}

/// ASVS 16.2.5, 16.3.1
#[tokio::test]
async fn attack_22_logs_and_emails_contain_no_recovery_code() {
    logs::keep();
    logs::take();
    let app = TestApp::keeping_mail().await;
    let (alice, mut codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let page = pending.recover(&codes[0]).await;
    page.redirects_to("/home");
    codes.extend(codes_on(&alice.post("/recovery_codes", &[]).await));
    app.advance(600);
    alice.post("/reauth", &[("password", PASSWORD)]).await;
    alice.recover(&codes[1]).await;
    alice.recover(&codes[11]).await.redirects_to("/home");
    let mails: Vec<(Mail, i64)> = app.mails("alice").await;
    let mut lines = logs::take();
    for (event, amr) in [
        ("login", "amr=\"pwd otp\""),
        ("reauth", "amr=\"pwd otp\""),
        ("recovery_code_refused", ""),
        ("recovery_codes_renewed", ""),
    ] {
        let event = format!("event=\"{event}\"");
        let found = |line: &String| line.contains(&event) && line.contains(amr);
        assert!(lines.iter().any(found), "{event} {amr}");
    }
    lines.push(format!("{mails:?}"));
    for code in &codes {
        let bare = code.replace('-', "");
        for line in &lines {
            assert!(!line.contains(code) && !line.contains(&bare), "{line}");
        }
    }
}
