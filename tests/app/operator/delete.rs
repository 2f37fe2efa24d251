//! Deleting an account with all its data.

use twostep::models::outbox::NoticeKind;

use super::run;
use crate::support::{OTHER_PHONE, PHONE, TestApp};

/// Every table, without deleted rows.
async fn contents(app: &TestApp) -> Vec<u8> {
    app.database.live_contents(&app.pool).await
}

fn holds(contents: &[u8], text: &str) -> bool {
    let mut parts = contents.windows(text.len());
    parts.any(|it| it.eq_ignore_ascii_case(text.as_bytes()))
}

async fn texts(app: &TestApp, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(&app.pool).await.unwrap()
}

/// ASVS 7.4.2
#[tokio::test]
async fn deleting_an_account_deletes_all_its_data() {
    let app = TestApp::keeping_mail().await;
    let bob = app.with_two_factor("bob", OTHER_PHONE).await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.advance(60);
    let pending = app.log_in_until_code("alice").await;
    app.browser().log_in("alice", "wrong").await;
    app.reset_link("alice").await;
    app.not_me("alice", NoticeKind::PhoneChanged).await;
    let id = app.user("alice").await.id;
    app.execute(
        "INSERT INTO recovery_codes (code_hash, user_id, created_at) \
         SELECT 'code of ' || username_key, id, 1 FROM users",
    )
    .await;
    app.execute(
        "INSERT INTO reset_requests (id, email_key, created_at) \
         SELECT 'request of ' || username_key, email_key, 1 FROM users",
    )
    .await;
    let mut traces = vec![id.as_str().to_owned(), "alice".to_owned(), PHONE.to_owned()];
    for sql in [
        "SELECT challenges.id FROM challenges JOIN users ON users.id = user_id \
         WHERE username_key = 'alice'",
        "SELECT sessions.id FROM sessions JOIN users ON users.id = user_id \
         WHERE username_key = 'alice'",
        "SELECT outbox.id FROM outbox JOIN users ON users.id = user_id \
         WHERE username_key = 'alice'",
        "SELECT token_hash FROM mail_tokens",
        "SELECT activity.id FROM activity JOIN users ON users.id = user_id \
         WHERE username_key = 'alice'",
    ] {
        let found = texts(&app, sql).await;
        assert!(!found.is_empty(), "{sql}");
        traces.extend(found);
    }
    let before = contents(&app).await;
    for trace in &traces {
        assert!(holds(&before, trace), "{trace} was not there");
    }

    let output = run(&app, &["user", "delete", "ALICE"]).await.output();
    assert_eq!(output, "alice is deleted, with all data of the account.\n");
    let after = contents(&app).await;
    for trace in &traces {
        assert!(!holds(&after, trace), "{trace} is still there");
    }

    // Its cookies are invalid, and other accounts keep their data.
    alice.get("/home").await.redirects_to("/login?next=%2Fhome");
    pending.verify(&app.last_code()).await;
    assert!(!pending.is_logged_in().await);
    assert!(bob.is_logged_in().await);
    for trace in ["code of bob", OTHER_PHONE] {
        assert!(holds(&after, trace), "{trace}");
    }

    // Its username and email are available again.
    app.register_and_log_in("alice").await;
    assert_ne!(app.user("alice").await.id, id);
}
