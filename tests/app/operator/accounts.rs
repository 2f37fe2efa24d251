//! Showing and locking an account, and ending its sessions.

use regex::Regex;
use twostep::models::outbox::{Mail, NoticeKind};
use twostep::models::rate_limit::{SENDS_OF_ACCOUNT, WRONG_CODES};

use super::{Outcome, USER_COMMANDS, catch_up, run};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, TestApp};

const LOCKED: &str = "alice is locked and logged out on all devices.\n";

/// A login whose cookie outlives the browser.
async fn remembered_login(app: &TestApp, username: &str) -> Browser {
    let browser = app.browser();
    let fields = [
        ("username", username),
        ("password", PASSWORD),
        ("remember_me", "on"),
    ];
    browser.post("/login", &fields).await.redirects_to("/home");
    browser
}

/// The events that the operator caused, oldest first.
async fn events(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("SELECT event FROM activity WHERE address IS NULL ORDER BY at, event")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

/// ASVS 7.4.2
#[tokio::test]
async fn locking_ends_all_sessions_and_refuses_logins() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let other = remembered_login(&app, "alice").await;
    let bob = app.register_and_log_in("bob").await;
    let output = run(&app, &["user", "lock", "alice"]).await.output();
    assert_eq!(output, LOCKED);
    for browser in [&browser, &other] {
        let page = browser.get("/home").await;
        page.redirects_to("/login?next=%2Fhome");
    }
    let page = browser.log_in("alice", PASSWORD).await;
    assert_eq!(page.status, 422);
    assert!(page.says("Invalid username or password"));
    assert!(bob.is_logged_in().await);
    assert_eq!(events(&app).await, ["locked_by_operator"]);
}

#[tokio::test]
async fn locking_ends_pending_logins_and_reset_links() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(60);
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let link = app.reset_link("alice").await;
    let before = app.user("alice").await;
    run(&app, &["user", "lock", "alice"]).await.output();
    pending.verify(&code).await.redirects_to("/login");
    assert!(!pending.is_logged_in().await);
    let page = app.browser().get(&link).await;
    page.redirects_to("/reset_password_request");
    assert!(app.user("alice").await.auth_version > before.auth_version);
}

#[tokio::test]
async fn locking_deletes_a_queued_password_reset_email() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let (id, now) = (app.user("alice").await.id, app.state.clock.now());
    let mut connection = app.pool.acquire().await.unwrap();
    let queued = Mail::ResetPassword.enqueue(&mut connection, &id, now).await;
    queued.unwrap();
    drop(connection);
    assert_eq!(app.mails("alice").await.len(), 1);
    run(&app, &["user", "lock", "alice"]).await.output();
    assert_eq!(app.mails("alice").await, []);
}

#[tokio::test]
async fn concurrent_locks_lock_once() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let lock = || run(&app, &["user", "lock", "alice"]);
    let (a, b, c) = tokio::join!(lock(), lock(), lock());
    let mut outputs = [a, b, c].map(Outcome::output);
    outputs.sort();
    let already = "alice is already locked.\n";
    assert_eq!(outputs, [already, already, LOCKED]);
    assert_eq!(events(&app).await, ["locked_by_operator"]);
}

#[tokio::test]
async fn an_unlocked_account_can_log_in_again() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    run(&app, &["user", "lock", "alice"]).await.output();
    let output = run(&app, &["user", "unlock", "alice"]).await.output();
    assert_eq!(output, "alice is unlocked. Limits for codes were reset.\n");
    assert!(!browser.is_logged_in().await, "ended sessions stay ended");
    browser.complete_login("alice").await;
    let mut events = events(&app).await;
    events.sort();
    assert_eq!(events, ["locked_by_operator", "unlocked_by_operator"]);
}

#[tokio::test]
async fn unlocking_resets_the_limits_of_that_account_for_codes() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.with_two_factor("bob", OTHER_PHONE).await;
    app.advance(60);
    app.log_in_until_code("alice").await;
    for name in ["alice", "bob"] {
        let id = app.user(name).await.id;
        app.fill(&WRONG_CODES, id.as_str(), 10).await;
    }
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 1);
    let output = run(&app, &["user", "unlock", "alice"]).await.output();
    assert_eq!(
        output,
        "alice was not locked. Limits for codes were reset.\n"
    );
    assert_eq!(events(&app).await, Vec::<String>::new());
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 0);
    assert_eq!(app.used_by(&WRONG_CODES, "alice").await, 0);
    assert_eq!(app.used_by(&WRONG_CODES, "bob").await, 10);
}

/// Their bucket is a hash of name and address, so it cannot be found by the name.
#[tokio::test]
async fn unlocking_does_not_reset_wrong_passwords_of_an_address() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    let at = |address: &str| app.browser().at(address);
    for _ in 0..10 {
        let page = at("203.0.113.9").log_in("alice", "a wrong one").await;
        assert_eq!(page.status, 422);
    }
    run(&app, &["user", "unlock", "alice"]).await.output();
    let page = at("203.0.113.9").log_in("alice", PASSWORD).await;
    assert_eq!(page.status, 429);
    let page = at("203.0.113.8").log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
    app.advance(900);
    let page = at("203.0.113.9").log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
}

/// ASVS 7.4.5
#[tokio::test]
async fn ending_sessions_logs_an_account_out_on_all_devices() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let bob = app.register_and_log_in("bob").await;
    app.advance(60);
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let checked = app.user("alice").await;
    let output = run(&app, &["user", "end-sessions", "alice"]).await.output();
    assert_eq!(output, "alice is logged out on all devices.\n");

    assert!(!browser.is_logged_in().await);
    pending.verify(&code).await.redirects_to("/login");
    assert!(!pending.is_logged_in().await);
    // A login whose password was checked just before fails.
    assert!(!app.begins_login(&checked).await);

    assert!(bob.is_logged_in().await);
    assert_eq!(events(&app).await, ["sessions_ended_by_operator"]);
    app.advance(60);
    let again = app.log_in_until_code("alice").await;
    again.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn an_account_is_shown_without_its_secrets() {
    let app = TestApp::keeping_mail().await;
    catch_up(&app);
    let browser = app.with_two_factor("Alice", PHONE).await;
    app.register("bob").await;
    let secrets = [
        browser.session_cookie().unwrap(),
        browser.cookie("twostep_device").unwrap(),
        app.reset_link("alice").await.split_off(16),
        app.not_me("alice", NoticeKind::PhoneChanged)
            .await
            .split_off(8),
        PHONE[1..].to_owned(),
        OTHER_PHONE[1..].to_owned(),
        PASSWORD.to_owned(),
        app.user("alice").await.id.as_str().to_owned(),
        "argon2".to_owned(),
    ];
    app.execute(
        "UPDATE recovery_codes SET used_at = 2 \
         WHERE code_hash = (SELECT MIN(code_hash) FROM recovery_codes)",
    )
    .await;
    // Events of the same second have no order.
    app.execute("UPDATE activity SET at = at - 60 WHERE event = 'logged_in'")
        .await;
    app.execute("UPDATE activity SET at = at - 60").await;
    let output = run(&app, &["user", "show", "ALICE"]).await.output();
    for secret in secrets {
        assert!(!output.contains(&secret), "{secret}: {output}");
    }
    let time = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ \([^\n]+\)";
    let expected = format!(
        "^Name:                      Alice
Email:                     Alice@example.com
Created:                   {time}
Last seen:                 {time}
Locked:                    no
Two-factor authentication: on, ••••\u{a0}267
Recovery codes left:       9
Sessions:                  1
Devices:                   1 known, 0 trusted
Last activity:             two factor enabled, {time}, from 127.0.0.1
$"
    );
    let expected = Regex::new(&expected).unwrap();
    assert!(expected.is_match(&output), "{output}");

    run(&app, &["user", "lock", "alice"]).await.output();
    for (name, lines) in [
        (
            "alice",
            [
                "Sessions:                  0\n",
                "Locked:                    since 20",
                "Last activity:             locked by operator, 20",
            ],
        ),
        (
            "bob",
            [
                "Last seen:                 never\n",
                "Two-factor authentication: off\n",
                "Last activity:             never\n",
            ],
        ),
    ] {
        let output = run(&app, &["user", "show", name]).await.output();
        for line in lines {
            assert!(output.contains(line), "{line}: {output}");
        }
    }
}

#[tokio::test]
async fn an_unknown_name_is_an_error_and_changes_nothing() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let before = app.dump().await;
    for command in USER_COMMANDS {
        let outcome = run(&app, &["user", command, "bob\n\u{1b}[31m"]).await;
        let expected = r#"there is no user "bob\n\u{1b}[31m""#;
        assert_eq!(outcome.error(), expected, "{command}");
    }
    assert_eq!(app.dump().await, before);
}
