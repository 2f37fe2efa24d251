//! Attacks 7 and 19: codes of other accounts, used codes, and parallel uses of a code.

use reqwest::Method;
use tokio::task::JoinSet;
use twostep::models::factor::RecoveryCode;

use super::{LEFT, WRONG, alice_of, assert_invalid, codes_on};
use crate::support::{NOW, OTHER_PHONE, PASSWORD, TestApp};

/// ASVS 8.2.2
#[tokio::test]
async fn attack_19_another_users_code_is_refused_and_stays_unused() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    app.with_two_factor("mallory", OTHER_PHONE).await;
    let mallorys = app.recovery_codes("mallory").await;
    let pending = app.log_in_until_code("alice").await;
    for code in mallorys.iter().take(3) {
        assert_invalid(&pending.recover(code).await);
    }
    assert!(!pending.is_logged_in().await);
    assert_eq!(app.recovery_codes_left("mallory").await, 10);
    let pending = app.log_in_until_code("mallory").await;
    pending.recover(&mallorys[0]).await.redirects_to("/home");
    let page = pending.get("/user/mallory").await;
    assert!(page.text().contains("Edit Profile"));
    // Fields that name another user are ignored.
    let pending = app.log_in_until_code("mallory").await;
    let alice = app.user("alice").await;
    let fields = [
        ("recovery_code", codes[0].as_str()),
        ("username", "alice"),
        ("user_id", alice.id.as_str()),
    ];
    assert_invalid(&pending.post("/verify_2fa/recovery", &fields).await);
    assert_eq!(app.recovery_codes_left("alice").await, 10);
}

/// ASVS 6.5.1
#[tokio::test]
async fn attack_19_a_used_code_and_a_code_of_an_old_set_are_refused() {
    let app = TestApp::start().await;
    let (alice, old) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&old[0]).await.redirects_to("/home");
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(&old[0]).await);
    // A set that was created after the login began counts too.
    let new = codes_on(&alice.post("/recovery_codes", &[]).await);
    assert_invalid(&pending.recover(&old[1]).await);
    assert_invalid(&pending.recover(&old[0]).await);
    pending.recover(&new[0]).await.redirects_to("/home");
    alice.post("/reauth", &[("password", PASSWORD)]).await;
    assert_invalid(&alice.recover(&new[0]).await);
    assert_eq!(app.recovery_codes_left("alice").await, 9);
}

/// ASVS 6.4.4
#[tokio::test]
async fn attack_01_a_recovery_code_alone_does_not_log_in() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let guest = app.browser();
    let page = guest.recover(&codes[0]).await;
    page.redirects_to("/login?next=%2Fhome");
    assert_eq!(guest.log_in("alice", &codes[0]).await.status, 422);
    // It does not replace the code in the code's field.
    let pending = app.log_in_until_code("alice").await;
    assert_eq!(pending.verify(&codes[0]).await.status, 422);
    assert!(!pending.is_logged_in().await);
    assert_eq!(app.recovery_codes_left("alice").await, 10);
}

#[tokio::test]
async fn attack_11_get_and_head_use_no_code() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let before = app.dump().await;
    let address = format!("/verify_2fa/recovery?recovery_code={}", codes[0]);
    pending.get(&address).await;
    pending.head(&address).await;
    let body = pending
        .request(Method::GET, "/verify_2fa/recovery")
        .body(codes[0].clone());
    pending.send(body).await;
    assert_eq!(app.dump().await, before);
    assert!(!pending.is_logged_in().await);
}

/// ASVS 2.3.4, 6.5.1, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_fifty_parallel_uses_of_a_recovery_code_one_logs_in() {
    for _ in 0..3 {
        let app = TestApp::start().await;
        let (_, codes) = alice_of(&app).await;
        let pending = app.log_in_until_code("alice").await;
        let logins = app.logins().await;
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let (browser, code) = (pending.copy(), codes[0].clone());
            tasks.spawn(async move {
                let page = browser.recover(&code).await;
                (browser, page)
            });
        }
        let mut inside = 0;
        for (browser, page) in tasks.join_all().await {
            let status = page.status;
            assert!(matches!(status, 303 | 422 | 429), "{status}");
            let is_in = page.location() == Some("/home");
            assert_eq!(browser.is_logged_in().await, is_in);
            inside += usize::from(is_in);
        }
        assert_eq!(inside, 1);
        assert_eq!(app.logins().await, logins + 1);
        assert_eq!(app.count(LEFT).await, 9);
    }
}

/// Both may have been found valid before either was consumed.
///
/// ASVS 2.3.4
#[tokio::test]
async fn attack_07_a_recovery_code_is_consumed_once() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let (code, user) = (
        RecoveryCode::parse(&codes[0]).unwrap(),
        app.user("alice").await.id,
    );
    let mut connection = app.pool.acquire().await.unwrap();
    for expected in [true, false] {
        let consumed = code.consume(&mut connection, &user, NOW).await.unwrap();
        assert_eq!(consumed, expected);
    }
}

/// ASVS 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_06_of_twenty_parallel_wrong_recovery_codes_five_are_compared() {
    let app = TestApp::start().await;
    alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let browser = pending.copy();
        tasks.spawn(async move { browser.recover(WRONG).await.status });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, [[422; 5].as_slice(), &[429; 15]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_parallel_new_sets_one_remains() {
    let app = TestApp::start().await;
    let (alice, _) = alice_of(&app).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let browser = alice.copy();
        tasks.spawn(async move { browser.post("/recovery_codes", &[]).await });
    }
    let mut valid = 0;
    let pages = tasks.join_all().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM recovery_codes").await, 10);
    for page in pages {
        assert_eq!(page.status, 200);
        let codes = codes_on(&page);
        let pending = app.log_in_until_code("alice").await;
        let is_valid = pending.recover(&codes[0]).await.status == 303;
        valid += usize::from(is_valid);
        app.execute("DELETE FROM rate_limits").await;
        app.advance(31);
    }
    assert_eq!(valid, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_a_code_used_while_a_new_set_is_created_logs_in_or_is_refused() {
    let app = TestApp::start().await;
    alice_of(&app).await;
    for _ in 0..5 {
        app.execute("DELETE FROM rate_limits").await;
        let codes = app.recovery_codes("alice").await;
        let first = app.log_in_until_code("alice").await;
        first.recover(&codes[1]).await.redirects_to("/home");
        let pending = app.log_in_until_code("alice").await;
        let (used, made) = tokio::join!(
            pending.recover(&codes[0]),
            first.post("/recovery_codes", &[])
        );
        assert_eq!(made.status, 200);
        assert!(matches!(used.status, 303 | 422), "{}", used.status);
        assert_eq!(
            pending.is_logged_in().await,
            used.location() == Some("/home")
        );
        assert_eq!(app.recovery_codes_left("alice").await, 10);
        app.advance(31);
    }
}
