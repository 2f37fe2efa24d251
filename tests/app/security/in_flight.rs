//! Sessions that are ended while a request of theirs is under way.

use super::{FIREFOX, end_buttons, log_in_as};
use crate::recovery_codes::codes_on;
use crate::sessions::in_flight::{
    LOG_INS, assert_data_changed, prepare, while_waiting, while_writing,
};
use crate::sessions::{ROWS, assert_dead, sha2_hex};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

/// How many verifications are open.
const OPEN: &str = "SELECT COUNT(*) FROM challenges WHERE closed_at IS NULL";

#[tokio::test]
async fn attack_18_a_session_that_was_ended_is_not_saved_again() {
    for all in [false, true] {
        let app = TestApp::start().await;
        let alice = app.signed_in("alice").await;
        let other = log_in_as(&app, "alice", FIREFOX.as_bytes()).await;
        prepare(&app, &other, PHONE).await;
        let path = match all {
            false => end_buttons(&alice.get("/security").await).remove(0),
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
async fn attack_18_proving_it_again_does_not_bring_an_ended_session_back() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let other = app.half_logged_in("alice").await;
    other.verify(&app.last_code()).await.redirects_to("/home");
    let path = end_buttons(&alice.get("/security").await).remove(0);
    let reauth = [("password", PASSWORD)];
    let (late, ended) =
        while_waiting(&app, other.post("/reauth", &reauth), alice.post(&path, &[])).await;
    ended.redirects_to("/security");
    late.redirects_to("/login?next=%2Fhome");
    assert_eq!(late.set_cookie(), None);
    assert_dead(&app, &other.session_cookie().unwrap()).await;
    assert_eq!(app.count(LOG_INS).await, 1);
}

#[tokio::test]
async fn attack_18_a_session_that_was_ended_ends_no_others() {
    for all in [false, true] {
        let app = TestApp::start().await;
        let alice = app.signed_in("alice").await;
        let thief = log_in_as(&app, "alice", b"Thief").await;
        let path = match all {
            false => end_buttons(&thief.get("/security").await).remove(0),
            true => "/sessions/revoke_others".to_owned(),
        };
        let late = while_writing(
            &app,
            thief.post(&path, &[]),
            "DELETE FROM sessions WHERE user_agent = 'Thief'",
        )
        .await;
        late.redirects_to("/login?next=%2Fhome");
        assert_eq!(late.set_cookie(), None);
        assert!(alice.is_logged_in().await);
        let told = "SELECT COUNT(*) FROM activity WHERE event LIKE 'ended%'";
        assert_eq!(app.count(told).await, 0);
    }
}

#[tokio::test]
async fn attack_18_nor_does_one_whose_account_was_changed_meanwhile() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await;
    let thief = log_in_as(&app, "alice", b"Thief").await;
    let late = while_writing(
        &app,
        thief.post("/sessions/revoke_others", &[]),
        "UPDATE users SET auth_version = auth_version + 1",
    )
    .await;
    late.redirects_to("/login?next=%2Fhome");
    assert!(alice.is_logged_in().await);
}

#[tokio::test]
async fn attack_18_a_session_that_was_ended_makes_no_recovery_codes() {
    let app = TestApp::start().await;
    let thief = app.with_two_factor("alice", PHONE).await;
    let late = while_writing(
        &app,
        thief.post("/recovery_codes", &[]),
        "DELETE FROM sessions WHERE user_id IS NOT NULL",
    )
    .await;
    late.redirects_to("/login?next=%2Fhome");
    assert!(codes_on(&late).is_empty());
    let told = "SELECT COUNT(*) FROM activity WHERE event = 'recovery_codes_renewed'";
    assert_eq!(app.count(told).await, 0);
}

#[tokio::test]
async fn attack_18_a_session_that_was_ended_does_not_rename_the_account() {
    let app = TestApp::start().await;
    let thief = app.signed_in("alice").await;
    let fields = [("username", "mallory"), ("about_me", "Gone.")];
    let late = while_writing(
        &app,
        thief.post("/edit_profile", &fields),
        "DELETE FROM sessions WHERE user_id IS NOT NULL",
    )
    .await;
    late.redirects_to("/login?next=%2Fhome");
    let kept = "SELECT COUNT(*) FROM users WHERE username = 'alice' AND about_me = ''";
    assert_eq!(app.count(kept).await, 1);
}

/// ASVS 7.4.1
#[tokio::test]
async fn attack_18_a_session_that_was_ended_has_no_code_sent() {
    let app = TestApp::start().await;
    let thief = app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    for (path, field) in [
        ("/enable_2fa", ("verification_phone", OTHER_PHONE)),
        ("/reauth", ("password", PASSWORD)),
    ] {
        let browser = thief.copy();
        let (open, sent) = (app.count(OPEN).await, app.phone().counters().creates);
        let late = while_writing(
            &app,
            browser.post(path, &[field]),
            "UPDATE sessions SET token_hash = 'another' WHERE user_id IS NOT NULL",
        )
        .await;
        late.redirects_to("/login?next=%2Fhome");
        assert_eq!(late.set_cookie(), None);
        assert_eq!(app.phone().counters().creates, sent, "{path}");
        assert_eq!(app.count(OPEN).await, open, "{path}");
        let hash = sha2_hex(&thief.session_cookie().unwrap());
        sqlx::query("UPDATE sessions SET token_hash = $1 WHERE token_hash = 'another'")
            .bind(hash)
            .execute(&app.pool)
            .await
            .unwrap();
    }
}
