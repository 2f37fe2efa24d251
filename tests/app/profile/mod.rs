//! Profiles: their content and visibility.

mod edit;
mod foreign_hosts;
mod renaming;
mod script;

use reqwest::Method;

use crate::support::{PASSWORD, PHONE, TestApp};

const LAST_SEEN: &str = "SELECT COALESCE(last_seen_at, 0) FROM users WHERE username_key = 'alice'";

#[tokio::test]
async fn only_a_users_own_profile_links_to_settings() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bob = app.with_two_factor("bob", PHONE).await;
    let with_it = [
        "/edit_profile",
        "/change_password",
        "/enable_2fa",
        "/recovery_codes",
        "/disable_2fa",
        "/security",
    ];
    let without = [&with_it[..3], &["/authenticator"], &with_it[5..]].concat();
    for (browser, name, expected) in [
        (&alice, "alice", &without[..]),
        (&bob, "bob", &with_it[..]),
        (&alice, "bob", &[]),
        (&bob, "alice", &[]),
    ] {
        let page = browser.get(&format!("/user/{name}")).await;
        assert_eq!(page.first("h1").as_deref(), Some(name));
        let found = page.attributes("main a", "href");
        assert_eq!(found, expected, "{name}");
        let own = page.text().contains("Two-factor");
        assert_eq!(
            own,
            !expected.is_empty(),
            "the state of two-factor authentication"
        );
    }
}

/// ASVS 8.2.3, 14.2.6, 15.3.1
#[tokio::test]
async fn a_profile_shows_no_email_phone_number_or_id() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bob = app.with_two_factor("bob", PHONE).await;
    let row: (String, String) =
        sqlx::query_as("SELECT id, password_hash FROM users WHERE username = 'bob'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    for (browser, path) in [(&alice, "/user/bob"), (&bob, "/user/bob"), (&bob, "/home")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200);
        for secret in [
            "bob@example.com",
            "example.com",
            PHONE,
            "254720",
            &row.0,
            &row.1,
        ] {
            assert!(!page.body.contains(secret), "{path}: {secret}");
        }
    }
    assert!(!alice.get("/user/bob").await.body.contains("267"));
    assert!(bob.get("/user/bob").await.text().contains("•••• 267"));
}

/// ASVS 1.1.1
#[tokio::test]
async fn a_profile_is_found_in_any_case_but_under_no_other_spelling() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("Alice").await;
    let bob = app.register_and_log_in("bob").await;
    for path in ["/user/Alice", "/user/alice", "/user/ALICE", "/user/al%69ce"] {
        for (browser, own) in [(&alice, true), (&bob, false)] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.first("h1").as_deref(), Some("Alice"));
            let is_own = page.text().contains("Edit Profile");
            assert_eq!(is_own, own, "{path}");
        }
    }
    let long = "a".repeat(5000);
    let names = "nobody al%2569ce alice%20 %20alice alice%00 alice%0a alice%2f alice%2fedit %ff \
        al%69ce%5c alic%C3%A9 alice%E2%80%8B % alice/ ..%2fhome '%20OR%201=1-- %25 _____";
    for name in names.split_whitespace().chain(["", "/", &long]) {
        let path = format!("/user/{name}");
        let page = alice.get(&path).await;
        assert!([400, 404].contains(&page.status), "{path}: {}", page.status);
        assert!(page.first("h1").is_some());
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
    }
}

/// ASVS 1.2.2, 14.2.3
#[tokio::test]
async fn the_picture_comes_from_gravatar_by_the_md5_of_the_email() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let page = browser
        .register("harry", "  Harry@Email.COM ", PASSWORD)
        .await;
    page.redirects_to("/login");
    browser.log_in("harry", PASSWORD).await;
    let page = browser.get("/user/harry").await;
    let sources = page.attributes("main img", "src");
    let [source] = &sources[..] else {
        panic!("{sources:?}")
    };
    let avatar = "https://www.gravatar.com/avatar/3f4360b2a748228ba4f745a3ebd428dc?";
    let query = source.strip_prefix(avatar).expect("another address");
    assert!(
        query.split('&').any(|pair| pair == "d=identicon"),
        "{query}"
    );
    let policy = page.attributes("main img", "referrerpolicy");
    assert_eq!(policy, ["no-referrer"]);
    assert_eq!(page.attributes("main img", "alt"), [""]);
}

#[tokio::test]
async fn the_last_visit_is_saved_at_most_once_a_minute() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    assert_eq!(app.count(LAST_SEEN).await, 0, "no page was seen yet");
    alice.get("/home").await;
    let first = app.count(LAST_SEEN).await;
    assert_eq!(first, app.state.clock.now());
    app.advance(59);
    alice.get("/home").await;
    alice.post("/edit_profile", &[]).await;
    assert_eq!(app.count(LAST_SEEN).await, first);
    app.advance(1);
    alice.get("/login").await.redirects_to("/home");
    assert_eq!(
        app.count(LAST_SEEN).await,
        first + 60,
        "a redirect is a visit"
    );
}

#[tokio::test]
async fn static_files_probes_and_head_requests_are_not_visits() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let home = alice.get("/home").await;
    let first = app.count(LAST_SEEN).await;
    app.advance(3600);
    let mut paths = home.attributes("link[href^='/static/']", "href");
    paths.extend(["/healthz".to_owned(), "/readyz".to_owned()]);
    assert!(paths.len() > 3);
    for path in paths {
        assert_eq!(alice.get(&path).await.status, 200, "{path}");
    }
    assert_eq!(alice.head("/home").await.status, 200);
    let other = alice.request(Method::OPTIONS, "/static/none");
    alice.send(other).await;
    // Viewing a profile doesn't change its user's last visit.
    let bob = app.register_and_log_in("bob").await;
    bob.get("/user/alice").await;
    assert_eq!(app.count(LAST_SEEN).await, first);
}

#[tokio::test]
async fn a_profile_shows_the_last_visit() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bob = app.register_and_log_in("bob").await;
    let page = bob.get("/user/alice").await;
    assert!(page.all("time").is_empty(), "no visit yet");
    alice.get("/home").await;
    for (seconds, words) in [
        (0, "just now"),
        (60, "1 minute ago"),
        (3540, "1 hour ago"),
        (7200, "3 hours ago"),
    ] {
        app.advance(seconds);
        let page = bob.get("/user/alice").await;
        assert_eq!(page.all("time"), [words]);
        let machine = page.attributes("time", "datetime");
        assert_eq!(machine, ["2026-09-21T14:13:20Z"]);
        assert!(page.text().contains(&format!("Last seen {words}")));
    }
}
