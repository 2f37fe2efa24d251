//! The content of the page.

use reqwest::Method;
use sqlx::Row;
use twostep::models::activity::Event;

use super::{FIREFOX, IPHONE, activity, devices, log_in_as, record, revoke_paths, sessions};
use crate::support::{NOW, PASSWORD, PHONE, TestApp, a_client};

#[tokio::test]
async fn the_page_shows_two_factor_authentication_and_links_to_its_settings() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let page = alice.get("/security").await;
    assert_eq!(page.first("h1").as_deref(), Some("Security"));
    let heading = |page: &crate::support::Page| page.first("#two-factor").unwrap();
    assert_eq!(heading(&page), "Two-factor authentication Off");
    let links = page.attributes("main a", "href");
    assert_eq!(links, ["/enable_2fa", "/authenticator", "/change_password"]);

    app.enable(&alice, PHONE).await;
    let page = alice.get("/security").await;
    assert_eq!(heading(&page), "Two-factor authentication On");
    for sentence in ["10 recovery codes are left.", "Phone •••• 267"] {
        assert!(page.text().contains(sentence), "{}", page.text());
    }
    let links = page.attributes("main a", "href");
    assert_eq!(
        links[..4],
        [
            "/enable_2fa",
            "/authenticator",
            "/recovery_codes",
            "/disable_2fa"
        ]
    );
    for path in ["/home", "/user/alice"] {
        let links = alice.get(path).await.attributes("a", "href");
        assert!(links.iter().any(|link| link == "/security"), "{path}");
    }
}

/// ASVS 7.5.2
#[tokio::test]
async fn sessions_are_listed_by_last_activity() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let laptop = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    app.advance(3_600);
    let phone = log_in_as(&app, "alice", IPHONE.as_bytes()).await;
    app.advance(120);

    let page = phone.get("/security").await;
    assert_eq!(
        sessions(&page),
        [
            "session started 2 minutes ago last active just now",
            "session started 1 hour ago last active 1 hour ago",
        ]
    );
    assert_eq!(
        devices(&page),
        [
            "Safari on iPhone This device address 127.0.0.1 last seen just now",
            "Firefox on Linux address 127.0.0.1 last seen 1 hour ago",
        ]
    );
    let times = page.attributes(".entry-sessions time", "datetime");
    assert_eq!(
        times,
        [
            "2026-09-21T15:13:20Z",
            "2026-09-21T15:15:20Z",
            "2026-09-21T14:13:20Z",
            "2026-09-21T14:13:20Z",
        ]
    );
    assert_eq!(revoke_paths(&page).len(), 1, "not for the current session");
    let buttons = page.all("form[action$='/revoke'] button");
    assert_eq!(
        buttons,
        ["Log out Firefox on Linux, address 127.0.0.1, started 1 hour ago"]
    );

    // The other session sees itself as this device.
    let page = laptop.get("/security").await;
    let shown = devices(&page);
    assert!(shown[0].starts_with("Firefox on Linux This device"));
    assert!(shown[1].starts_with("Safari on iPhone address"));
}

#[tokio::test]
async fn a_session_without_an_address_is_shown_as_unknown() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    app.execute("UPDATE sessions SET address = NULL, user_agent = NULL, device_id = NULL")
        .await;
    let page = alice.get("/security").await;
    let shown = "an unknown browser This device address unknown last seen just now";
    assert_eq!(devices(&page), [shown]);
    assert_eq!(
        sessions(&page),
        ["session started just now last active just now"]
    );
}

#[tokio::test]
async fn expired_sessions_and_pending_logins_are_not_listed() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.execute("DELETE FROM sessions").await;
    for end in ["idle_expires_at", "expires_at"] {
        let alice = app.log_in_until_code("alice").await;
        alice.verify(&app.last_code()).await.redirects_to("/home");
        app.advance(31);
        app.log_in_until_code("alice").await;
        assert_eq!(sessions(&alice.get("/security").await).len(), 1, "{end}");
        app.execute("UPDATE sessions SET expires_at = 0 WHERE user_id IS NOT NULL")
            .await;
        app.execute(match end {
            "expires_at" => "UPDATE sessions SET expires_at = 0, idle_expires_at = 9999999999",
            _ => "UPDATE sessions SET expires_at = 9999999999, idle_expires_at = 0",
        })
        .await;
        app.advance(31);
    }
    let alice = app.log_in_until_code("alice").await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(sessions(&alice.get("/security").await).len(), 1);
}

#[tokio::test]
async fn a_session_disappears_in_the_second_it_expires() {
    let app = TestApp::start().await;
    app.register("alice").await;
    log_in_as(&app, "alice", IPHONE.as_bytes()).await;
    app.advance(12 * 3_600 - 1);
    let alice = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    assert_eq!(sessions(&alice.get("/security").await).len(), 2);
    app.advance(1);
    assert_eq!(sessions(&alice.get("/security").await).len(), 1);
}

/// ASVS 8.2.3, 14.2.6
#[tokio::test]
async fn the_page_shows_no_secret_and_nothing_of_other_users() {
    let app = TestApp::start().await;
    let mallory = app.with_two_factor("mallory", "+447400123456").await;
    let alice = app.with_two_factor("alice", PHONE).await;
    record(&app, "mallory", Event::WrongPassword, Some(&a_client())).await;
    record(&app, "mallory", Event::LockedByOperator, None).await;
    let second = app.log_in_until_code("alice").await;
    second.verify(&app.last_code()).await.redirects_to("/home");

    let page = alice.get("/security").await;
    assert_eq!(sessions(&page).len(), 2);
    assert!(activity(&page).iter().all(|it| !it.contains("operator")));
    assert!(page.all(".failure").is_empty());
    let mut secrets = vec![
        PASSWORD.to_owned(),
        app.last_code(),
        "254720".to_owned(),
        "7400".to_owned(),
        "argon2".to_owned(),
        "@".to_owned(),
        "mallory".to_owned(),
    ];
    let cookies = [&alice, &second, &mallory].map(|browser| browser.session_cookie().unwrap());
    secrets.extend(cookies);
    for sql in [
        "SELECT token_hash FROM sessions",
        "SELECT id FROM challenges",
        "SELECT id FROM users",
        "SELECT id FROM activity",
        "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE username = 'mallory'",
    ] {
        let rows = sqlx::query(sql).fetch_all(&app.pool).await;
        let rows = rows.unwrap();
        assert!(!rows.is_empty(), "{sql}");
        secrets.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    for secret in secrets {
        assert!(!page.body.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn attack_15_the_user_agent_does_not_reach_the_page() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let long = [b'x'; 7_000];
    let claims: [&[u8]; 6] = [
        b"<script>alert(1)</script>",
        b"\"><img src=x onerror=alert(1)>",
        "\u{202e}evil\u{2066}".as_bytes(),
        b"\xff\xfe",
        &long,
        b"",
    ];
    for claim in claims {
        log_in_as(&app, "alice", claim).await;
    }
    let alice = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    let page = alice.get("/security").await;
    let shown = devices(&page);
    assert_eq!(shown.len(), claims.len() + 1);
    let unknown = |it: &&String| it.starts_with("an unknown browser address 127.0.0.1");
    assert_eq!(shown.iter().filter(unknown).count(), claims.len());
    let unknown = "Logged in with the password an unknown browser address 127.0.0.1 just now";
    let logged_in = activity(&page);
    let unknown = logged_in.iter().filter(|it| *it == unknown).count();
    assert_eq!(unknown, claims.len());
    for words in ["alert", "evil", "xxx", "onerror", "\u{202e}", "\u{fffd}"] {
        assert!(!page.body.contains(words), "{words}");
    }
}

/// ASVS 4.1.3
#[tokio::test]
async fn the_page_shows_the_real_client_address() {
    let behind_proxy = TestApp::behind_proxy().await;
    let direct = TestApp::start().await;
    for (app, address) in [(&behind_proxy, "2001:db8::7"), (&direct, "127.0.0.1")] {
        app.register("alice").await;
        let alice = app.browser();
        let login = alice.request(Method::POST, "/login");
        let login = login
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-forwarded-for", "198.51.100.1, 2001:DB8:0::7")
            .body(format!("username=alice&password={PASSWORD}"));
        alice.send(login).await.redirects_to("/home");
        let page = alice.get("/security").await;
        let shown = format!("address {address}");
        assert!(devices(&page)[0].contains(&shown), "{:?}", devices(&page));
        assert!(activity(&page)[0].contains(&shown));
        assert!(!page.body.contains("198.51.100.1"));
    }
}

/// Inserts sessions of alice, each last active a minute after the previous one.
async fn insert_sessions(app: &TestApp, count: i64) {
    let first = NOW - 60 * count;
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
         INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, data, \
         created_at, last_active_at, idle_expires_at, expires_at, address, user_agent) \
         SELECT 'inserted-' || i, 'h' || i, users.id, 1, 0, '{}', 1, $2 + 60 * i, $3, $3, '203.0.113.9', \
         'x' FROM n, users",
    )
    .bind(count)
    .bind(first)
    .bind(NOW + 100_000)
    .execute(&app.pool)
    .await
    .unwrap();
}

fn more(page: &crate::support::Page) -> Vec<String> {
    page.all("[aria-labelledby=sessions] .small-print")
}

/// ASVS 15.1.3
#[tokio::test]
async fn the_page_lists_fifty_sessions_and_says_how_many_more_there_are() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    for (others, sentence) in [
        (49, None),
        (50, Some("and 1 more")),
        (1_049, Some("and 1000 more")),
        (1_050, Some("and more than 1,000 more")),
    ] {
        insert_sessions(&app, others).await;
        let page = alice.get("/security").await;
        let expected = (50, sentence.map(str::to_owned).into_iter().collect());
        assert_eq!((sessions(&page).len(), more(&page)), expected, "{others}");
        app.execute("DELETE FROM sessions WHERE id LIKE 'inserted-%'")
            .await;
    }
}

#[tokio::test]
async fn the_current_session_is_listed_before_fifty_more_active_ones() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    insert_sessions(&app, 60).await;
    app.execute(
        "UPDATE sessions SET last_active_at = last_active_at + 3600 WHERE id LIKE 'inserted-%'",
    )
    .await;
    let page = alice.get("/security").await;
    let listed = sessions(&page);
    assert_eq!(listed.len(), 50);
    assert!(devices(&page)[0].contains("This device"), "{}", listed[0]);
    assert_eq!(more(&page), ["and 11 more"]);
    alice
        .post("/sessions/revoke_others", &[])
        .await
        .redirects_to("/security");
    assert_eq!(sessions(&alice.get("/security").await).len(), 1);
}
