//! Revoking sessions.

use super::{FIREFOX, IPHONE, events, log_in_as, revoke_paths, sessions};
use crate::sessions::{assert_dead, cookie_of};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

/// The path that revokes the session of a browser.
async fn button_of(viewer: &Browser, browser: &str) -> String {
    let page = viewer.get("/security").await;
    let buttons = page.all("form[action$='/revoke'] button");
    let at = buttons.iter().position(|it| it.contains(browser)).unwrap();
    revoke_paths(&page).remove(at)
}

async fn end(viewer: &Browser, browser: &str) -> Page {
    let path = button_of(viewer, browser).await;
    viewer.post(&path, &[]).await
}

/// ASVS 7.5.2, 8.3.2
#[tokio::test]
async fn revoking_one_session_keeps_the_others() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bystander = app.register_and_log_in("harry").await;
    let laptop = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    let phone = log_in_as(&app, "alice", IPHONE.as_bytes()).await;
    let answer = end(&alice, "Safari on iPhone").await;
    answer.redirects_to("/security");
    assert_eq!(
        answer.set_cookie(),
        None,
        "the current session keeps its cookie"
    );
    assert_dead(&app, &phone.session_cookie().unwrap()).await;
    assert!(laptop.is_logged_in().await && bystander.is_logged_in().await);
    let page = alice.get("/security").await;
    assert!(page.says("The device is logged out."));
    assert_eq!(sessions(&page).len(), 2);
    assert_eq!(events(&page)[0], "Logged out another device");
}

/// ASVS 7.5.2
#[tokio::test]
async fn revoking_all_other_sessions_keeps_this_one() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bystander = app.register_and_log_in("harry").await;
    let others = [
        log_in_as(&app, "alice", FIREFOX.as_bytes()).await,
        log_in_as(&app, "alice", IPHONE.as_bytes()).await,
    ];
    let answer = alice.post("/sessions/revoke_others", &[]).await;
    answer.redirects_to("/security");
    assert_eq!(answer.set_cookie(), None);
    for browser in &others {
        assert_dead(&app, &browser.session_cookie().unwrap()).await;
    }
    assert!(bystander.is_logged_in().await);
    let page = alice.get("/security").await;
    assert!(page.says("All other devices are logged out."));
    assert_eq!(sessions(&page).len(), 1);
    assert_eq!(events(&page)[0], "Logged out all other devices");
    let form = page.attributes("form[action='/sessions/revoke_others']", "action");
    assert!(form.is_empty(), "no other session");

    // Again, from a page that is still open.
    let answer = alice.post("/sessions/revoke_others", &[]).await;
    answer.redirects_to("/security");
    let page = alice.get("/security").await;
    assert!(page.says("No other device was logged in."));
    assert_eq!(events(&page)[1], "Logged in with the password");
}

#[tokio::test]
async fn revoking_the_current_session_logs_out() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let other = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    let stolen = alice.session_cookie().unwrap();
    // Only the page of another session has the button.
    let path = button_of(&other, "an unknown browser").await;
    let answer = alice.post(&path, &[]).await;
    answer.redirects_to("/login");
    assert_eq!(cookie_of(&answer).0, "");
    assert_eq!(alice.session_cookie(), None);
    assert!(answer.header("clear-site-data").is_some());
    assert_dead(&app, &stolen).await;
    let page = other.get("/security").await;
    assert_eq!(events(&page)[0], "Logged out");
    assert_eq!(sessions(&page).len(), 1);
}

/// ASVS 7.5.1, 7.5.2
#[tokio::test]
async fn revoking_requires_recent_authentication() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    let other = app.log_in_until_code("alice").await;
    other.verify(&app.last_code()).await.redirects_to("/home");
    let path = revoke_paths(&alice.get("/security").await).remove(0);
    app.advance(600);
    let before = app.dump().await;
    for path in [
        path.as_str(),
        "/sessions/revoke_others",
        "/sessions/x/revoke",
    ] {
        let refused = alice.post(path, &[]).await;
        refused.redirects_to("/reauth?next=%2Fsecurity");
        let guest = app.browser().post(path, &[]).await;
        guest.redirects_to("/login?next=%2Fsecurity");
    }
    assert_eq!(app.dump().await, before);
    assert!(other.is_logged_in().await);

    let fields = [("password", PASSWORD), ("next", "/security")];
    alice
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    alice
        .post(&path, &[])
        .await
        .redirects_to("/reauth?next=%2Fsecurity");
    let proved = alice.verify(&app.last_code()).await;
    proved.redirects_to("/security");
    alice.post(&path, &[]).await.redirects_to("/security");
    assert!(!other.is_logged_in().await);
}

/// ASVS 1.4.2, 8.2.2
#[tokio::test]
async fn attack_18_a_user_cannot_revoke_sessions_of_others() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    let of_alice = revoke_paths(&alice.get("/security").await).remove(0);
    let pending_login = {
        app.with_two_factor("ron", PHONE).await;
        app.log_in_until_code("ron").await
    };
    let mallory = app.register_and_log_in("mallory").await;
    let second = log_in_as(&app, "mallory", FIREFOX.as_bytes()).await;
    let page = mallory.get("/security").await;
    assert_eq!(sessions(&page).len(), 2);
    let own = revoke_paths(&page).remove(0);
    let own_id = own.split('/').nth(2).unwrap();

    let hash = "SELECT token_hash FROM sessions WHERE user_id IS NOT NULL LIMIT 1";
    let hash: String = sqlx::query_scalar(hash).fetch_one(&app.pool).await.unwrap();
    let pending = "SELECT id FROM sessions WHERE user_id IS NULL AND challenge_id IS NOT NULL";
    let pending: String = sqlx::query_scalar(pending)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let mut paths = vec![of_alice];
    for id in [
        "99999999999999999999",
        "1",
        "0",
        "-1",
        "x",
        "%00",
        "%20",
        "%27%20OR%20%271%27=%271",
        "..%2Frevoke_others",
        "%E2%80%AE",
        "revoke_others",
        &hash,
        &pending,
        &own_id.to_lowercase(),
        &format!("{own_id}%00"),
        &format!("{own_id}="),
        &own_id[1..],
        &"A".repeat(22),
        &"A".repeat(5_000),
        &mallory.session_cookie().unwrap(),
    ] {
        paths.push(format!("/sessions/{id}/revoke"));
    }
    let before = app.dump().await;
    for path in &paths {
        let answer = mallory.post(path, &[("user_id", "1")]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.first("h1").as_deref(), Some("Page not found"));
    }
    for path in [
        "/sessions//revoke",
        "/sessions/a/b/revoke",
        "/sessions/revoke",
    ] {
        assert_eq!(mallory.post(path, &[]).await.status, 404, "{path}");
    }
    mallory.post("/sessions/%ff/revoke", &[]).await;
    assert_eq!(app.dump().await, before);
    let own = mallory.post(&own, &[]).await;
    own.redirects_to("/security");
    assert!(!second.is_logged_in().await);
    mallory.post("/sessions/revoke_others", &[]).await;
    assert!(alice.is_logged_in().await);
    let verified = pending_login.verify(&app.last_code()).await;
    verified.redirects_to("/home");
}

#[tokio::test]
async fn revoking_a_session_cancels_its_challenge() {
    for path in ["one", "/sessions/revoke_others"] {
        let app = TestApp::start().await;
        let alice = app.register_and_log_in("alice").await;
        let other = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
        other.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
        assert_eq!(
            (app.open_challenges().await, app.phone().counters().cancels),
            (1, 0)
        );
        let path = match path {
            "one" => button_of(&alice, "Firefox").await,
            all => all.to_owned(),
        };
        alice.post(&path, &[]).await.redirects_to("/security");
        assert_eq!(
            (app.open_challenges().await, app.phone().counters().cancels),
            (0, 1)
        );
        let outcome = "SELECT COUNT(*) FROM challenges WHERE outcome = 'cancelled'";
        assert_eq!(app.count(outcome).await, 1);
    }
}

#[tokio::test]
async fn revoking_other_sessions_keeps_the_challenge_of_this_one() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    alice.post("/sessions/revoke_others", &[]).await;
    assert_eq!(alice.verify(&app.last_code()).await.status, 200);
}

#[tokio::test]
async fn a_session_is_not_revoked_if_the_event_cannot_be_recorded() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let other = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
    let path = button_of(&alice, "Firefox").await;
    app.execute("ALTER TABLE activity RENAME TO lost").await;
    for path in [path.as_str(), "/sessions/revoke_others"] {
        assert_eq!(alice.post(path, &[]).await.status, 500, "{path}");
    }
    app.execute("ALTER TABLE lost RENAME TO activity").await;
    assert!(other.is_logged_in().await);
}

#[tokio::test]
async fn two_sessions_cannot_both_revoke_each_other() {
    for _ in 0..5 {
        let app = TestApp::start().await;
        app.register("alice").await;
        let laptop = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
        let phone = log_in_as(&app, "alice", IPHONE.as_bytes()).await;
        let (a, b) = tokio::join!(
            laptop.post("/sessions/revoke_others", &[]),
            phone.post("/sessions/revoke_others", &[])
        );
        assert_eq!((a.status, b.status), (303, 303));
        assert_eq!(app.logins().await, 1);
        assert_ne!(laptop.is_logged_in().await, phone.is_logged_in().await);
    }
}
