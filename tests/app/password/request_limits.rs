//! Limits on reset requests, and that they do not reveal which addresses have accounts.

use std::sync::Arc;

use twostep::models::outbox::{Notice, NoticeKind};
use twostep::models::rate_limit::{RESET_MAILS_OF_ACCOUNT, RESET_REQUESTS};
use twostep::models::reset_request::{self, Resolved};
use twostep::tasks::mail::CONNECTIONS;

use super::assert_errors;
use super::request::{CHECK_EMAIL, QUEUED, ask, queued};
use crate::support::smtp::{Fault, SmtpServer, Tls};
use crate::support::{NOW, Page, TestApp, a_client, until};

const REQUESTS: &str = "SELECT COUNT(*) FROM reset_requests";

const ALICE: &str = "alice@example.com";

const DAY: u64 = 24 * 60 * 60;

#[track_caller]
fn assert_too_many(page: &Page, seconds: &str, words: &str) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some(seconds));
    let sentence = format!("Too many requests from your network. Try again in {words}.");
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(page.set_cookies(), Vec::<&str>::new());
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn ten_requests_an_hour_of_one_address_and_the_next_is_refused() {
    let app = TestApp::production("http://127.0.0.1:9").await;
    app.register("alice").await;
    let sessions = "SELECT COUNT(*) FROM sessions";
    for number in 1..=10 {
        let page = ask(&app.browser(), &format!("{number}@example.com")).await;
        page.redirects_to("/login");
    }
    let page = ask(&app.browser(), "no address").await;
    assert_errors(&page, &[("email", "Enter a valid email address")]);
    let before = app.count(sessions).await;
    let page = ask(&app.browser(), ALICE).await;
    assert_too_many(&page, "3600", "60 minutes");
    assert_eq!(page.value_of("email").as_deref(), Some(ALICE));
    assert_eq!((queued(&app).await, app.count(sessions).await), (0, before));
    app.advance(3599);
    assert_too_many(&ask(&app.browser(), ALICE).await, "1", "1 second");
    app.advance(1);
    ask(&app.browser(), ALICE).await.redirects_to("/login");
    assert_eq!(queued(&app).await, 1);
}

#[tokio::test]
async fn other_networks_and_in_development_this_machine_are_not_limited() {
    let app = TestApp::behind_proxy().await;
    for network in ["203.0.113.9", "2001:db8:1:2::/64", "127.0.0.1"] {
        app.fill(&RESET_REQUESTS, network, 10).await;
    }
    for (address, refused) in [
        ("203.0.113.9", true),
        ("203.0.113.8", false),
        ("2001:db8:1:2::9", true),
        ("2001:db8:1:3::9", false),
        ("127.0.0.1", false),
    ] {
        let page = ask(&app.browser().at(address), ALICE).await;
        match refused {
            true => assert_too_many(&page, "3600", "60 minutes"),
            false => page.redirects_to("/login"),
        }
    }
}

/// Stores a request without the app.
async fn request(app: &TestApp, email: &str, now: i64) {
    let mut connection = app.pool.acquire().await.unwrap();
    let added = reset_request::add(&mut connection, email, now).await;
    added.unwrap();
}

/// Moves the clock and wakes the worker, which may have read the old time for its next request.
async fn advance(app: &TestApp, seconds: u64) {
    app.advance(seconds);
    let now = app.state.clock.now();
    request(app, "nobody@example.com", now).await;
    app.state.mail.wake();
    app.requests_settle().await;
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn an_account_gets_three_emails_in_thirty_minutes_and_silently_no_fourth() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("bob").await;
    let ask_for = async |email| {
        let browser = app.browser();
        let page = ask(&browser, email).await;
        page.redirects_to("/login");
        assert!(browser.follow(&page).await.says(CHECK_EMAIL));
        app.mail_to(email).await.len()
    };
    for sent in 1..=3 {
        assert_eq!(ask_for(ALICE).await, sent);
        advance(&app, 300).await;
    }
    for email in [ALICE, "Alice@Example.com"] {
        ask_for(email).await;
        assert_eq!(app.mail_to(ALICE).await.len(), 3);
    }
    assert_eq!(ask_for("bob@example.com").await, 1);
    advance(&app, 899).await;
    assert_eq!(ask_for(ALICE).await, 3);
    // As the first one expires, three more. Unsent ones did not count.
    advance(&app, 1).await;
    for sent in [4, 5, 6, 6] {
        assert_eq!(ask_for(ALICE).await, sent);
    }
}

#[tokio::test]
async fn a_request_while_an_email_waits_does_not_count() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    for sent in [true, true, true, false] {
        for _ in 0..5 {
            ask(&app.browser(), ALICE).await.redirects_to("/login");
        }
        assert_eq!(queued(&app).await, i64::from(sent));
        app.empty_outbox().await;
    }
}

/// The rows of every table that a request might write to.
async fn rows(app: &TestApp) -> Vec<i64> {
    let mut rows = Vec::new();
    for sql in [
        REQUESTS,
        "SELECT COUNT(*) FROM sessions",
        "SELECT COUNT(*) FROM outbox",
        "SELECT COUNT(*) FROM mail_tokens",
        "SELECT COUNT(*) FROM activity",
        "SELECT COUNT(*) FROM rate_limits",
    ] {
        rows.push(app.count(sql).await);
    }
    rows
}

/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_a_request_writes_the_same_rows_for_known_and_unknown_addresses() {
    let server = SmtpServer::start(Tls::Never).await;
    let url = server.url();
    let app = TestApp::with(&[("SMTP_URL", &url)]).await;
    app.register("alice").await;
    // The worker has as many emails in hand as it can.
    server.misbehave("MAIL", Fault::Silence);
    let id = app.user("alice").await.id;
    let mut connection = app.pool.acquire().await.unwrap();
    for _ in 0..CONNECTIONS {
        let notice = Notice::new(NoticeKind::PasswordChanged, &a_client(), NOW);
        notice.enqueue(&mut connection, &id).await.unwrap();
    }
    drop(connection);
    app.state.mail.wake();
    until(|| server.times_heard("MAIL") == CONNECTIONS).await;

    let mut written = Vec::new();
    for email in [ALICE, "nobody@example.com", "no..body@example..com"] {
        let before = rows(&app).await;
        ask(&app.browser(), email).await.redirects_to("/login");
        let after = rows(&app).await;
        let added = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before);
        written.push(added.collect::<Vec<_>>());
    }
    assert_eq!(written[0], [1, 1, 0, 0, 0, 0]);
    assert!(written.iter().all(|it| *it == written[0]), "{written:?}");
    let known = "SELECT COUNT(*) FROM reset_requests WHERE email_key = 'alice@example.com'";
    assert_eq!(app.count(known).await, 1);
}

/// SQLite has one writer, so the requester's next request waits for the worker's writes.
///
/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_the_worker_changes_as_many_rows_for_an_unknown_address_as_for_a_known_one() {
    let app = TestApp::on_sqlite().await;
    app.register("alice").await;
    let changes = async || -> i64 {
        app.mail_settles().await;
        let database = &app.state.database; // one connection, which counts what it changed
        let changes = sqlx::query_scalar("SELECT total_changes()").fetch_one(database);
        changes.await.unwrap()
    };
    let mut changed = Vec::new();
    for email in [ALICE, "nobody@example.com"] {
        // The fourth reaches the limit.
        for _ in 0..4 {
            let before = changes().await;
            ask(&app.browser(), email).await.redirects_to("/login");
            changed.push(changes().await - before);
        }
    }
    let (known, unknown) = changed.split_at(4);
    assert_eq!(known[..3], unknown[..3]);
    assert_eq!(known[3], unknown[3]);
    assert_eq!(app.mail_to(ALICE).await.len(), 3);
    assert_eq!(app.count(REQUESTS).await, 0, "a decoy is left");
}

/// An instance that died left a decoy.
#[tokio::test]
async fn a_decoy_is_never_resolved_and_is_deleted() {
    let app = TestApp::keeping_mail().await;
    let decoy = "INSERT INTO reset_requests (id, email_key, created_at) VALUES ('x', '', 1)";
    app.execute(decoy).await;
    let database = &app.pool;
    let resolved = reset_request::resolve_next(database, NOW).await.unwrap();
    assert!(matches!(resolved, Resolved::Nothing), "{resolved:?}");
    // Unless the app's own worker looks just then.
    let decoy = loop {
        request(&app, "nobody@example.com", NOW).await;
        let resolved = reset_request::resolve_next(database, NOW).await.unwrap();
        if let Resolved::Decoy(decoy) = resolved {
            break decoy;
        }
    };
    assert_eq!(app.count(REQUESTS).await, 2);
    decoy.imitate_delivery(&app.pool).await.unwrap();
    assert_eq!(app.count(REQUESTS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_several_workers_resolves_a_request() {
    let app = Arc::new(TestApp::keeping_mail().await);
    app.register("alice").await;
    for _ in 0..5 {
        // The app's own worker sleeps, since nothing wakes it.
        request(&app, ALICE, NOW).await;
        let workers: Vec<_> = (0..6)
            .map(|_| {
                let app = Arc::clone(&app);
                tokio::spawn(async move { reset_request::resolve_next(&app.pool, NOW).await })
            })
            .collect();
        let mut resolved = 0;
        for worker in workers {
            match worker.await.unwrap().unwrap() {
                Resolved::Nothing => {}
                Resolved::Done => resolved += 1,
                Resolved::Decoy(decoy) => {
                    decoy.imitate_delivery(&app.pool).await.unwrap();
                    resolved += 1;
                }
            }
        }
        assert_eq!(resolved, 1);
    }
    assert_eq!((app.count(REQUESTS).await, app.count(QUEUED).await), (0, 1));
    assert_eq!(app.used_by(&RESET_MAILS_OF_ACCOUNT, "alice").await, 1);
}

#[tokio::test]
async fn an_unresolved_request_is_resolved_at_the_next_start() {
    let app = TestApp::start().await;
    app.register("alice").await;
    request(&app, ALICE, NOW).await;
    app.advance(DAY - 1);
    let app = app.restarted(&[]).await;
    assert_eq!(app.next_mail().await.to, ALICE);
}

#[tokio::test]
async fn a_request_is_dropped_after_a_day_and_a_fresh_one_is_not() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let (database, now) = (&app.pool, NOW + i64::try_from(DAY).unwrap());
    for (at, mails) in [(NOW, 0), (NOW + 1, 1)] {
        request(&app, ALICE, at).await;
        let resolved = reset_request::resolve_next(database, now).await.unwrap();
        assert!(matches!(resolved, Resolved::Done), "{resolved:?}");
        assert_eq!((app.count(REQUESTS).await, queued(&app).await), (0, mails));
    }
}

#[tokio::test]
async fn a_request_survives_a_failing_database() {
    let app = TestApp::keeping_mail().await;
    app.register("alice").await;
    let database = &app.pool;
    app.execute("ALTER TABLE rate_limits RENAME TO lost").await;
    request(&app, ALICE, NOW).await;
    assert!(reset_request::resolve_next(database, NOW).await.is_err());
    assert_eq!((app.count(REQUESTS).await, app.count(QUEUED).await), (1, 0));
    app.execute("ALTER TABLE lost RENAME TO rate_limits").await;
    let resolved = reset_request::resolve_next(database, NOW).await.unwrap();
    assert!(matches!(resolved, Resolved::Done), "{resolved:?}");
    assert_eq!((app.count(REQUESTS).await, app.count(QUEUED).await), (0, 1));
}
