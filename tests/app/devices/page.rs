//! Devices on the security page, and ending the trust in one.

use super::{DEVICES, assert_needs_code, log_in_with_code, log_out, trusted};
use crate::operator::run;
use crate::security::{FIREFOX, IPHONE};
use crate::support::{Browser, OTHER_PHONE, PHONE, Page, TestApp};

/// The paths of the forms that end the trust in a device.
fn forget_paths(page: &Page) -> Vec<String> {
    page.attributes("form[action$='/forget']", "action")
}

/// A logged-in browser that alice trusts, and another one that is logged in.
async fn two_devices(app: &TestApp) -> (Browser, Browser) {
    let browser = trusted(app, "alice", PHONE).await;
    browser.complete_login("alice").await;
    let other = app.browser();
    log_in_with_code(app, &other, "alice", "0").await;
    (browser, other)
}

#[tokio::test]
async fn each_known_device_is_listed_with_its_sessions() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.execute("DELETE FROM devices").await;
    app.execute("DELETE FROM sessions").await;
    let (trusted, plain, gone) = (app.browser(), app.browser(), app.browser());
    log_in_with_code(&app, &gone, "alice", "0").await;
    log_out(&gone).await;
    log_in_with_code(&app, &trusted, "alice", "1").await;
    log_in_with_code(&app, &plain, "alice", "0").await;
    for (agent, number) in [(FIREFOX, 1), (IPHONE, 2)] {
        sqlx::query(
            "UPDATE devices SET user_agent = $1 WHERE created_at = \
             (SELECT created_at FROM devices ORDER BY created_at LIMIT 1 OFFSET $2)",
        )
        .bind(agent)
        .bind(number)
        .execute(&app.pool)
        .await
        .unwrap();
    }
    let page = trusted.get("/security").await;
    assert_eq!(
        page.all(".entry-device > div"),
        [
            "Firefox on Linux This device address 127.0.0.1 last seen just now \
             trusted until 21 October 2026",
            "Safari on iPhone address 127.0.0.1 last seen just now",
        ]
    );
    assert_eq!(
        page.all("details [data-device]"),
        ["an unknown browser address 127.0.0.1 last seen 1 minute ago"]
    );
    let ids = page.attributes("[data-device]", "data-device");
    assert_eq!(ids.len(), 3);
    assert_eq!(page.all("[data-device] .entry-sessions > li").len(), 2);
    assert_eq!(page.all("[data-device] form[action$='/revoke']").len(), 1);
    assert_eq!(forget_paths(&page), [format!("/devices/{}/forget", ids[0])]);
}

#[tokio::test]
async fn the_page_shows_no_token_and_no_device_of_another_user() {
    let app = TestApp::start().await;
    trusted(&app, "mallory", OTHER_PHONE).await;
    let alice = app.register_and_log_in("alice").await;
    let page = alice.get("/security").await;
    assert_eq!(page.attributes("[data-device]", "data-device").len(), 1);
    let hashes: Vec<String> = sqlx::query_scalar("SELECT token_hash FROM devices")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let cookie = alice.cookie(super::COOKIE).unwrap();
    for secret in hashes.iter().chain([&cookie]) {
        assert!(!page.body.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn forgetting_a_device_ends_its_trust_and_nothing_else() {
    let app = TestApp::start().await;
    let (browser, other) = two_devices(&app).await;
    let path = forget_paths(&other.get("/security").await).remove(0);
    for _ in 0..2 {
        other.post(&path, &[]).await.redirects_to("/security");
        let page = other.get("/security").await;
        assert!(page.says("The next login from that device needs a code."));
        assert!(forget_paths(&page).is_empty());
        let events = page.all("[aria-labelledby=activity] .entry-title");
        let forgotten = events
            .iter()
            .filter(|it| *it == "The trust in a device was ended");
        assert_eq!(forgotten.count(), 1);
    }
    assert!(browser.is_logged_in().await);
    assert_eq!(app.count(DEVICES).await, 3);
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
}

/// ASVS 7.5.1
#[tokio::test]
async fn forgetting_a_device_requires_recent_authentication() {
    let app = TestApp::start().await;
    let (browser, other) = two_devices(&app).await;
    let path = forget_paths(&other.get("/security").await).remove(0);
    // By trust the other one is not recently authenticated.
    for (who, wait) in [(&browser, 0), (&other, 600)] {
        app.advance(wait);
        let page = who.post(&path, &[]).await;
        page.redirects_to("/reauth?next=%2Fsecurity");
    }
    log_out(&browser).await;
    browser.complete_login("alice").await;
}

/// ASVS 8.2.2
#[tokio::test]
async fn attack_a_device_of_another_account_is_not_found() {
    let app = TestApp::start().await;
    let (browser, other) = two_devices(&app).await;
    let path = forget_paths(&other.get("/security").await).remove(0);
    let mallory = app.register_and_log_in("mallory").await;
    for path in [&*path, "/devices/unknown/forget", "/devices/a%00b/forget"] {
        assert_eq!(mallory.post(path, &[]).await.status, 404, "{path}");
    }
    log_out(&browser).await;
    browser.complete_login("alice").await;
}

#[tokio::test]
async fn the_operator_sees_how_many_devices_are_known_and_trusted() {
    let app = TestApp::start().await;
    let shown = async || {
        let output = run(&app, &["user", "show", "alice"]).await.output();
        let line = output.lines().find(|it| it.starts_with("Devices:"));
        line.unwrap().split_at(8).1.trim().to_owned()
    };
    crate::operator::catch_up(&app);
    app.register("alice").await;
    assert_eq!(shown().await, "0 known, 0 trusted");
    let alice = app.log_in("alice").await;
    app.enable(&alice, PHONE).await;
    let browser = app.browser();
    log_in_with_code(&app, &browser, "alice", "1").await;
    assert_eq!(shown().await, "2 known, 1 trusted");
    app.execute("UPDATE users SET auth_version = auth_version + 1")
        .await;
    assert_eq!(shown().await, "2 known, 0 trusted");
}
