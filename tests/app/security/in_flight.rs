//! Sessions that end during one of their requests.

use super::{FIREFOX, log_in_as, revoke_paths};
use crate::recovery_codes::codes_on;
use crate::sessions::in_flight::{assert_data_changed, prepare, while_waiting, while_writing};
use crate::sessions::{ROWS, assert_dead, sha2_hex};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn attack_18_an_ended_session_is_not_saved_again() {
    for all in [false, true] {
        let app = TestApp::start().await;
        let alice = app.register_and_log_in("alice").await;
        let other = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
        prepare(&app, &other, PHONE).await;
        let path = match all {
            false => revoke_paths(&alice.get("/security").await).remove(0),
            true => "/sessions/revoke_others".to_owned(),
        };
        let rows = app.count(ROWS).await;
        let (late, ended) =
            while_waiting(&app, other.verify("123456"), alice.post(&path, &[])).await;
        ended.redirects_to("/security");
        assert_data_changed(&late);
        assert_dead(&app, &other.session_cookie().unwrap()).await;
        assert!(alice.is_logged_in().await);
        assert_eq!(app.count(ROWS).await, rows - 1);
        assert_eq!(app.phone_of("alice").await, None);
    }
}

#[tokio::test]
async fn attack_18_reauthentication_does_not_restore_an_ended_session() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let other = app.log_in_until_code("alice").await;
    other.verify(&app.last_code()).await.redirects_to("/home");
    let path = revoke_paths(&alice.get("/security").await).remove(0);
    let reauth = [("password", PASSWORD)];
    let (late, ended) =
        while_waiting(&app, other.post("/reauth", &reauth), alice.post(&path, &[])).await;
    ended.redirects_to("/security");
    late.redirects_to("/login?next=%2Fhome");
    assert_eq!(late.set_cookie(), None);
    assert_dead(&app, &other.session_cookie().unwrap()).await;
    assert_eq!(app.logins().await, 1);
}

#[tokio::test]
async fn attack_18_a_session_that_ends_during_a_request_changes_nothing() {
    let profile = [("username", "mallory"), ("about_me", "Gone.")];
    for (path, fields) in [
        ("/recovery_codes", &[][..]),
        ("/edit_profile", &profile),
        ("/sessions/revoke_others", &[]),
        ("one", &[]),
    ] {
        for ending in [
            "DELETE FROM sessions WHERE user_agent = 'Thief'",
            "UPDATE users SET auth_version = auth_version + 1",
        ] {
            let app = TestApp::start().await;
            let alice = app.register_and_log_in("alice").await;
            let thief = log_in_as(&app, "alice", b"Thief").await;
            app.execute(
                "INSERT INTO factors (id, user_id, kind, name, phone, last_step, created_at) \
                 SELECT 'f', id, 'phone', '', '+254720227267', 0, 1 FROM users",
            )
            .await;
            let path = match path {
                "one" => revoke_paths(&thief.get("/security").await).remove(0),
                path => path.to_owned(),
            };
            let count = "SELECT COUNT(*) FROM activity";
            let events = app.count(count).await;
            let late = while_writing(&app, thief.post(&path, fields), ending).await;
            late.redirects_to("/login?next=%2Fhome");
            assert_eq!(late.set_cookie(), None, "{path}");
            assert!(codes_on(&late).is_empty());
            assert_eq!(app.count(count).await, events, "{path}");
            assert!(alice.is_logged_in().await, "{path}");
            let unchanged = "SELECT COUNT(*) FROM users WHERE username = 'alice' AND about_me = ''";
            assert_eq!(app.count(unchanged).await, 1);
        }
    }
}

/// ASVS 7.4.1
#[tokio::test]
async fn attack_18_an_ended_session_sends_no_code() {
    let app = TestApp::start().await;
    let thief = app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    for (path, field) in [
        ("/enable_2fa", ("verification_phone", OTHER_PHONE)),
        ("/reauth", ("password", PASSWORD)),
    ] {
        let browser = thief.copy();
        let (open, sent) = (app.open_challenges().await, app.phone().counters().creates);
        let late = while_writing(
            &app,
            browser.post(path, &[field]),
            "UPDATE sessions SET token_hash = 'another' WHERE user_id IS NOT NULL",
        )
        .await;
        late.redirects_to("/login?next=%2Fhome");
        assert_eq!(late.set_cookie(), None);
        assert_eq!(app.phone().counters().creates, sent, "{path}");
        assert_eq!(app.open_challenges().await, open, "{path}");
        let hash = sha2_hex(&thief.session_cookie().unwrap());
        sqlx::query("UPDATE sessions SET token_hash = $1 WHERE token_hash = 'another'")
            .bind(hash)
            .execute(&app.pool)
            .await
            .unwrap();
    }
}
