//! Looking at an account, locking it, ending its sessions.

use twostep::models::outbox::{Mail, NoticeKind};
use twostep::models::rate_limit::{SENDS_OF_ACCOUNT, WRONG_CODES};
use twostep::models::session::SessionRow;

use super::{catch_up, run};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, TestApp, a_client};

/// A log-in whose cookie outlives the browser.
async fn remembered(app: &TestApp, username: &str) -> Browser {
    let browser = app.browser();
    let fields = [
        ("username", username),
        ("password", PASSWORD),
        ("remember_me", "on"),
    ];
    browser.post("/login", &fields).await.redirects_to("/home");
    browser
}

/// What happened to accounts, oldest first.
async fn happenings(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("SELECT event FROM activity WHERE address IS NULL ORDER BY at, event")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

/// ASVS 7.4.2
#[tokio::test]
async fn a_locked_account_is_out_at_its_next_request() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    let other = remembered(&app, "alice").await;
    let bob = app.signed_in("bob").await;
    let said = run(&app, &["user", "lock", "alice"]).await.said();
    assert_eq!(said, "alice is locked, and logged out everywhere.\n");
    for browser in [&browser, &other] {
        let page = browser.get("/home").await;
        page.redirects_to("/login?next=%2Fhome");
    }
    let page = browser.log_in("alice", PASSWORD).await;
    assert_eq!(page.status, 422);
    assert!(page.says("Invalid username or password"));
    assert!(bob.is_logged_in().await);
    assert_eq!(happenings(&app).await, ["locked_by_operator"]);
}

#[tokio::test]
async fn a_locked_account_loses_what_was_under_way() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(60);
    let half = app.half_logged_in("alice").await;
    let code = app.last_code();
    let link = app.reset_link("alice").await;
    let before = app.user("alice").await;
    run(&app, &["user", "lock", "alice"]).await.said();
    half.verify(&code).await.redirects_to("/login");
    assert!(!half.is_logged_in().await);
    let page = app.browser().get(&link).await;
    page.redirects_to("/reset_password_request");
    assert!(app.user("alice").await.auth_version > before.auth_version);
}

#[tokio::test]
async fn a_mail_to_a_new_password_is_not_sent_after_the_lock() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let (id, now) = (app.user("alice").await.id, app.state.clock.now());
    let mut connection = app.pool.acquire().await.unwrap();
    let queued = Mail::ResetPassword.enqueue(&mut connection, &id, now).await;
    queued.unwrap();
    drop(connection);
    assert_eq!(app.mails("alice").await.len(), 1);
    run(&app, &["user", "lock", "alice"]).await.said();
    assert_eq!(app.mails("alice").await, []);
}

#[tokio::test]
async fn to_lock_twice_is_to_lock_once() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let arguments = ["user", "lock", "alice"];
    let all = tokio::join!(
        run(&app, &arguments),
        run(&app, &arguments),
        run(&app, &arguments)
    );
    let mut said = [all.0.said(), all.1.said(), all.2.said()];
    said.sort();
    let already = "alice was locked already.\n";
    let locked = "alice is locked, and logged out everywhere.\n";
    assert_eq!(said, [locked, already, already]);
    assert_eq!(happenings(&app).await, ["locked_by_operator"]);
}

#[tokio::test]
async fn an_unlocked_account_logs_in_again() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    run(&app, &["user", "lock", "alice"]).await.said();
    let said = run(&app, &["user", "unlock", "alice"]).await.said();
    assert_eq!(
        said,
        "alice is unlocked. Codes that were entered wrongly no longer count.\n"
    );
    assert!(!browser.is_logged_in().await, "what ended stays ended");
    let page = browser.log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
    let mut happened = happenings(&app).await;
    happened.sort();
    assert_eq!(happened, ["locked_by_operator", "unlocked_by_operator"]);
}

#[tokio::test]
async fn to_unlock_forgets_what_was_counted_against_the_account() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.with_two_factor("bob", OTHER_PHONE).await;
    app.advance(60);
    app.half_logged_in("alice").await;
    for name in ["alice", "bob"] {
        let id = app.user(name).await.id;
        app.fill(&WRONG_CODES, id.as_str(), 10).await;
    }
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 1);
    let said = run(&app, &["user", "unlock", "alice"]).await.said();
    assert_eq!(
        said,
        "alice was not locked. Codes that were entered wrongly no longer count.\n"
    );
    assert_eq!(happenings(&app).await, Vec::<String>::new());
    assert_eq!(app.used_by(&SENDS_OF_ACCOUNT, "alice").await, 0);
    assert_eq!(app.used_by(&WRONG_CODES, "alice").await, 0);
    assert_eq!(app.used_by(&WRONG_CODES, "bob").await, 10);
}

/// Nobody knows any more where they were typed: that was kept as a hash.
#[tokio::test]
async fn to_unlock_leaves_wrong_passwords_counted_where_they_were_typed() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    let at = |address: &str| app.browser().at(address);
    for _ in 0..10 {
        let page = at("203.0.113.9").log_in("alice", "a wrong one").await;
        assert_eq!(page.status, 422);
    }
    run(&app, &["user", "unlock", "alice"]).await.said();
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
async fn sessions_that_the_operator_ends_are_dead_at_their_next_request() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let bob = app.signed_in("bob").await;
    app.advance(60);
    let half = app.half_logged_in("alice").await;
    let code = app.last_code();
    let checked = app.user("alice").await;
    let said = run(&app, &["user", "end-sessions", "alice"]).await.said();
    assert_eq!(said, "alice is logged out everywhere.\n");

    assert!(!browser.is_logged_in().await);
    half.verify(&code).await.redirects_to("/login");
    assert!(!half.is_logged_in().await);
    // Nor does one begin that was checked just before.
    let mut connection = app.pool.acquire().await.unwrap();
    let late = SessionRow::begin_login(
        &mut connection,
        &checked.id,
        checked.auth_version,
        false,
        &a_client(),
        app.state.clock.now(),
    )
    .await;
    assert!(late.unwrap().is_none());
    drop(connection);

    assert!(bob.is_logged_in().await);
    assert_eq!(happenings(&app).await, ["sessions_ended_by_operator"]);
    app.advance(60);
    let again = app.half_logged_in("alice").await;
    again.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn an_account_is_shown_without_its_secrets() {
    let app = TestApp::keeping_mail().await;
    catch_up(&app);
    let browser = app.with_two_factor("Alice", PHONE).await;
    let secrets = [
        browser.session_cookie().unwrap(),
        app.reset_link("alice").await.split_off(16),
        app.not_me("alice", NoticeKind::PhoneChanged, Some(OTHER_PHONE))
            .await
            .split_off(8),
        PHONE[1..].to_owned(),
        OTHER_PHONE[1..].to_owned(),
        PASSWORD.to_owned(),
        app.user("alice").await.id.as_str().to_owned(),
    ];
    app.execute(
        "UPDATE recovery_codes SET used_at = 2 \
         WHERE code_hash = (SELECT MIN(code_hash) FROM recovery_codes)",
    )
    .await;
    // What happened in one second is in no order.
    app.execute("UPDATE activity SET at = at - 60 WHERE event = 'logged_in'")
        .await;
    app.execute("UPDATE activity SET at = at - 60").await;
    let said = run(&app, &["user", "show", "ALICE"]).await.said();
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret}: {said}");
    }
    assert!(!said.contains("argon2"), "{said}");
    let lines: Vec<_> = said.lines().filter_map(|it| it.split_once(':')).collect();
    let line = |label: &str| {
        let line = lines.iter().find(|(it, _)| *it == label);
        line.unwrap_or_else(|| panic!("{label}: {said}")).1.trim()
    };
    assert_eq!(lines.len(), 9, "{said}");
    assert_eq!(line("Name"), "Alice");
    assert_eq!(line("E-mail"), "Alice@example.com");
    assert_eq!(line("Locked"), "no");
    assert_eq!(line("Two-factor authentication"), "on, ••••\u{a0}267");
    assert_eq!(line("Recovery codes left"), "9");
    assert_eq!(line("Sessions"), "1");
    let last = line("Last activity");
    assert!(last.starts_with("two factor enabled, 20"), "{last}");
    assert!(last.ends_with(", from 127.0.0.1"), "{last}");
    for moment in ["Created", "Last seen"] {
        let (moment, words) = line(moment).split_once("Z (").unwrap();
        assert_eq!(moment.len(), "2026-11-22T10:00:00".len());
        assert!(words.ends_with(')'));
    }

    run(&app, &["user", "lock", "alice"]).await.said();
    let said = run(&app, &["user", "show", "alice"]).await.said();
    assert!(said.contains("Sessions:                  0\n"), "{said}");
    assert!(
        said.contains("Locked:                    since 20"),
        "{said}"
    );
    assert!(said.contains("locked by operator, 20"), "{said}");
}

#[tokio::test]
async fn an_account_that_nobody_used_is_shown_too() {
    let app = TestApp::start().await;
    app.register("bob").await;
    let said = run(&app, &["user", "show", "bob"]).await.said();
    for line in [
        "Last seen:                 never\n",
        "Two-factor authentication: off\n",
        "Recovery codes left:       0\n",
        "Last activity:             never\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[tokio::test]
async fn nobody_of_that_name_is_said_in_one_line() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let before = app.dump().await;
    for command in [
        "show",
        "lock",
        "unlock",
        "reset-2fa",
        "end-sessions",
        "delete",
    ] {
        let line = run(&app, &["user", command, "bob\n\u{1b}[31m"])
            .await
            .failed();
        assert_eq!(line, r#"there is no user "bob\n\u{1b}[31m""#, "{command}");
    }
    assert_eq!(app.dump().await, before);
}
