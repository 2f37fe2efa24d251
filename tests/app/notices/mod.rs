//! Notices: one email for each event, queued in the transaction of the event.

mod unfinished_login;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use twostep::models::outbox::{Notice, NoticeKind};

use crate::support::{Browser, NOW, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

/// The only queued email, which is a notice.
pub async fn only_notice(app: &TestApp, username: &str) -> Notice {
    let mails = app.mails(username).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    app.notices(username).await.remove(0)
}

/// Sends a form with a `User-Agent`.
pub async fn post_as(agent: &[u8], browser: &Browser, path: &str, body: String) -> Page {
    let request = browser.request(Method::POST, path);
    let request = request
        .header("sec-fetch-site", "same-origin")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(USER_AGENT, agent)
        .body(body);
    browser.send(request).await
}

/// ASVS 6.3.7
#[tokio::test]
async fn each_change_of_two_factor_authentication_is_emailed_once() {
    let app = TestApp::keeping_mail().await;
    let alice = app.register_and_log_in("alice").await;
    assert!(app.mails("alice").await.is_empty());

    app.enable(&alice, PHONE).await;
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::TwoFactorEnabled);
    assert_eq!((notice.at, notice.former_phone.as_deref()), (NOW, None));
    assert_eq!(notice.address.as_deref(), Some("127.0.0.1"));

    app.empty_outbox().await;
    app.enable(&alice, OTHER_PHONE).await;
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::PhoneChanged);
    assert_eq!(notice.former_phone.as_deref(), Some(PHONE));

    app.empty_outbox().await;
    let agent = b"Teapot/1.0\t\xe2\x80\xaeevil";
    let page = post_as(agent, &alice, "/disable_2fa", String::new()).await;
    page.redirects_to("/user/alice");
    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::TwoFactorDisabled);
    assert_eq!(notice.former_phone.as_deref(), Some(OTHER_PHONE));
    assert_eq!(notice.user_agent.as_deref(), Some("Teapot/1.0evil"));

    app.empty_outbox().await;
    alice.post("/disable_2fa", &[]).await;
    assert!(app.mails("alice").await.is_empty(), "nothing was disabled");
}

#[tokio::test]
async fn an_unfinished_change_is_not_emailed() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    harry.enable(PHONE).await.redirects_to("/verify_2fa");
    harry.verify("000000").await;
    harry.post("/verify_2fa/cancel", &[]).await;
    harry.post("/reauth", &[("password", "a wrong one")]).await;
    harry.post("/reauth", &[("password", PASSWORD)]).await;
    assert!(app.mails("harry").await.is_empty());
}

/// ASVS 2.3.3
#[tokio::test]
async fn a_change_and_its_notice_are_one_transaction() {
    let app = TestApp::keeping_mail().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.empty_outbox().await;
    // The notice fails.
    app.execute("ALTER TABLE outbox RENAME TO lost").await;
    assert_eq!(alice.post("/disable_2fa", &[]).await.status, 500);
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    assert_eq!(app.browser().log_in("alice", PASSWORD).await.status, 500);
    app.execute("ALTER TABLE lost RENAME TO outbox").await;
    // The change fails after the notice was written.
    let change = "BEFORE UPDATE OF removed_at ON factors";
    app.break_when("broken", change, "1 = 1").await;
    assert_eq!(alice.post("/disable_2fa", &[]).await.status, 500);
    assert!(app.mails("alice").await.is_empty());
    // The account changed meanwhile.
    app.drop_trigger("broken").await;
    alice.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    app.execute("UPDATE users SET auth_version = auth_version + 1")
        .await;
    alice.verify(&app.last_code()).await;
    assert!(app.mails("alice").await.is_empty());
}

#[tokio::test]
async fn a_notice_holds_no_secret() {
    let app = TestApp::keeping_mail().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    for _ in 0..5 {
        app.browser().log_in("alice", "a wrong one").await;
    }
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    let code = app.last_code();
    browser.verify(&code).await.redirects_to("/home");
    let mails = format!("{:?}", app.mails("alice").await);
    let cookies = [alice.session_cookie(), browser.session_cookie()];
    for secret in cookies.into_iter().flatten().chain([code]) {
        assert!(!mails.contains(&secret), "{secret}");
    }
    for secret in [PASSWORD, "a wrong one", "argon2"] {
        assert!(!mails.contains(secret), "{secret}");
    }
}

async fn fail(app: &TestApp, username: &str, times: usize) {
    for _ in 0..times {
        let page = app.browser().log_in(username, "a wrong one").await;
        assert_eq!(page.status, 422);
    }
}

/// ASVS 6.3.5
#[tokio::test]
async fn a_login_after_five_failures_is_emailed_and_after_four_is_not() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    for (failures, expected) in [(4, 0), (5, 1), (0, 0), (4, 0), (1, 0), (6, 1)] {
        app.advance(900); // so that no limit is met
        fail(&app, "harry", failures).await;
        let browser = app.browser();
        let page = post_as(
            b"Teapot/1.0",
            &browser,
            "/login",
            format!("username=HARRY&password={PASSWORD}"),
        )
        .await;
        page.redirects_to("/home");
        let notices = app.notices("harry").await;
        assert_eq!(notices.len(), expected, "after {failures}");
        for notice in notices {
            assert_eq!(notice.event, NoticeKind::LoginAfterFailures);
            assert_eq!(notice.user_agent.as_deref(), Some("Teapot/1.0"));
        }
        app.empty_outbox().await;
    }
}

#[tokio::test]
async fn a_notice_of_failures_that_a_limit_held_back_is_sent_at_a_later_login() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    for (seconds, failures, expected) in [(0, 5, 1), (900, 5, 0), (1800, 0, 0), (900, 0, 1)] {
        app.advance(seconds);
        fail(&app, "harry", failures).await;
        app.browser()
            .log_in("harry", PASSWORD)
            .await
            .redirects_to("/home");
        let notices = app.notices("harry").await;
        assert_eq!(notices.len(), expected, "after {seconds} seconds");
        app.empty_outbox().await;
    }
}

#[tokio::test]
async fn the_notice_of_a_login_is_sent_at_once() {
    let app = TestApp::start().await;
    let after_failures = "A login to your Twostep account after wrong passwords";
    app.register("harry").await;
    fail(&app, "harry", 5).await;
    app.browser().complete_login("harry").await;
    assert_eq!(app.next_mail().await.subject, after_failures);

    let alice = app.with_two_factor("alice", PHONE).await;
    let _enabled = app.next_mail().await;
    fail(&app, "alice", 5).await;
    app.advance(31);
    let pending = alice.logged_out(); // no notice about a new device
    pending.log_in("alice", PASSWORD).await;
    pending.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(app.next_mail().await.subject, after_failures);

    let used = "A recovery code of your Twostep account was used";
    let codes = app.recovery_codes("alice").await;
    app.advance(31);
    let pending = alice.logged_out();
    pending.log_in("alice", PASSWORD).await;
    pending.recover(&codes[0]).await.redirects_to("/home");
    assert_eq!(app.next_mail().await.subject, used);

    app.advance(600); // no longer fresh
    pending.post("/reauth", &[("password", PASSWORD)]).await;
    pending.recover(&codes[1]).await.redirects_to("/home");
    assert_eq!(app.next_mail().await.subject, used);
}

#[tokio::test]
async fn with_two_factor_authentication_only_the_code_completes_a_login() {
    let app = TestApp::keeping_mail().await;
    app.with_two_factor("alice", PHONE).await;
    app.empty_outbox().await;
    fail(&app, "alice", 5).await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    let events = |notices: Vec<Notice>| notices.iter().map(|it| it.event).collect::<Vec<_>>();
    let unfinished = [NoticeKind::UnfinishedLogin];
    assert_eq!(events(app.notices("alice").await), unfinished);
    browser.verify(&app.last_code()).await.redirects_to("/home");
    let expected = [NoticeKind::LoginAfterFailures];
    assert_eq!(events(app.notices("alice").await), expected);
}

#[tokio::test]
async fn wrong_passwords_count_for_their_account_only_and_at_reauth_too() {
    let app = TestApp::keeping_mail().await;
    let harry = app.register_and_log_in("harry").await;
    app.register("ron").await;
    let failures = "SELECT failed_logins FROM users WHERE username_key = 'harry'";
    fail(&app, "hARRy", 2).await;
    fail(&app, "nobody", 3).await;
    fail(&app, "ron", 3).await;
    harry.post("/reauth", &[("password", "wrong")]).await;
    assert_eq!(app.count(failures).await, 3);
    // A reauthentication is not a login.
    harry.post("/reauth", &[("password", PASSWORD)]).await;
    assert_eq!(app.count(failures).await, 3);
    app.browser().log_in("harry", PASSWORD).await;
    assert_eq!(app.count(failures).await, 0);
    let others = "SELECT failed_logins FROM users WHERE username_key = 'ron'";
    assert_eq!(app.count(others).await, 3);
}

#[tokio::test]
async fn of_parallel_logins_one_queues_the_notice() {
    let app = TestApp::keeping_mail().await;
    app.register("harry").await;
    fail(&app, "harry", 5).await;
    let (a, b, c) = (app.browser(), app.browser(), app.browser());
    let pages = tokio::join!(
        a.log_in("harry", PASSWORD),
        b.log_in("harry", PASSWORD),
        c.log_in("harry", PASSWORD)
    );
    for page in [pages.0, pages.1, pages.2] {
        page.redirects_to("/home");
    }
    assert_eq!(app.notices("harry").await.len(), 1);
}
