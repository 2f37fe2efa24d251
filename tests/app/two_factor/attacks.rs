//! Attacks on two-factor authentication, numbered as in the threat model. Alice has
//! two-factor authentication, mallory does not.

use reqwest::Method;
use twostep::middleware::access::Access;

use super::{
    assert_gone, assert_invalid_token, pending_login, two_factor_app, two_factor_login, wrong,
};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, THIRD_PHONE};

/// ASVS 2.3.1, 8.3.1
#[tokio::test]
async fn attack_01_a_pending_login_reaches_no_page_of_a_user() {
    let (app, pending) = pending_login("alice").await;
    let before = app.dump().await;
    let mut tried = 0;
    for route in &app.routes {
        if !matches!(route.access, Access::User | Access::Fresh) {
            continue;
        }
        tried += 1;
        let path = route.path.replace("{username}", "alice");
        let page = if route.method == Method::GET {
            pending.get(&path).await
        } else {
            let fields = [
                ("username", "mallory"),
                ("about_me", "taken over"),
                ("password", PASSWORD),
                ("verification_phone", OTHER_PHONE),
            ];
            pending.post(&path, &fields).await
        };
        assert_eq!(page.status, 303, "{route:?}");
        let to = page.location().unwrap();
        assert!(to.starts_with("/login?next="), "{route:?}: {to}");
    }
    assert!(tried >= 10, "{tried}");
    assert_eq!(app.dump().await, before);
    // Nor does a public page show it as alice.
    for path in ["/login", "/logout", "/register", "/verify_2fa"] {
        let page = pending.get(path).await;
        assert!(!page.body.contains("/user/alice"), "{path}");
    }
}

#[tokio::test]
async fn attack_01_a_late_or_foreign_code_does_not_complete_a_login() {
    let app = two_factor_app("alice").await;
    let mallory = app.with_two_factor("mallory", OTHER_PHONE).await;
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let own = app.log_in_until_code("mallory").await;
    let foreign = app.last_code();
    if foreign != code {
        assert_invalid_token(&pending.verify(&foreign).await);
        assert_invalid_token(&own.verify(&code).await);
    }
    // Alice's code does not work in another user's session, or without one.
    mallory.verify(&code).await.redirects_to("/home");
    let guest = app.browser();
    let page = guest.verify(&code).await;
    page.redirects_to("/login?next=%2Fhome");
    assert!(!guest.is_logged_in().await);
    assert!(page.set_cookie().is_none());

    app.advance(600);
    assert_gone(&pending, &code).await;
}

/// ASVS 6.5.1
#[tokio::test]
async fn attack_02_a_used_code_opens_nothing() {
    let (app, alice) = pending_login("alice").await;
    let (thief, code) = (alice.copy(), app.last_code());
    alice.verify(&code).await.redirects_to("/home");

    let page = thief.verify(&code).await;
    page.redirects_to("/login?next=%2Fhome");
    assert!(!thief.is_logged_in().await);
    alice.verify(&code).await.redirects_to("/home");
    let logins = app.logins().await;
    // A new challenge does not accept the old code.
    let again = app.log_in_until_code("alice").await;
    if app.last_code() != code {
        assert_invalid_token(&again.verify(&code).await);
    }
    assert_eq!(app.logins().await, logins);
}

/// ASVS 6.6.2
#[tokio::test]
async fn attack_02_a_code_of_another_session_purpose_or_older_challenge_is_refused() {
    let (app, alice) = two_factor_login("alice").await;
    let pending = app.log_in_until_code("alice").await;
    let for_login = app.last_code();
    app.advance(31);
    alice.add_phone(OTHER_PHONE).await;
    let for_enabling = app.last_code();
    if for_enabling != for_login {
        assert_invalid_token(&alice.verify(&for_login).await);
        assert_invalid_token(&pending.verify(&for_enabling).await);
    }
    // A challenge that the same browser has replaced.
    let older = pending.copy();
    pending
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/verify_2fa");
    let for_login = app.last_code();
    let page = older.verify(&for_login).await;
    page.redirects_to("/login?next=%2Fhome");
    // Another user's code.
    let mallory = app.with_two_factor("mallory", THIRD_PHONE).await;
    mallory.post("/reauth", &[("password", PASSWORD)]).await;
    let of_mallory = app.last_code();
    if of_mallory != for_login {
        assert_invalid_token(&pending.verify(&of_mallory).await);
    }
    // The right one, once.
    pending.verify(&for_login).await.redirects_to("/home");
    let late = app.log_in_until_code("alice").await;
    if for_login != app.last_code() {
        assert_invalid_token(&late.verify(&for_login).await);
    }
}

/// The app never writes such rows, but the guard must not trust them.
#[tokio::test]
async fn attack_02_a_session_with_a_foreign_challenge_is_refused() {
    let (app, alice) = two_factor_login("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    alice.add_phone(OTHER_PHONE).await;
    let code = app.last_code();
    let given = app
        .execute(
            "UPDATE sessions SET challenge_id = \
             (SELECT id FROM challenges WHERE closed_at IS NULL)",
        )
        .await;
    assert!(given >= 2);
    mallory.verify(&code).await.redirects_to("/home");
    assert_eq!(app.phone_of("mallory").await, None);

    // A pending login with the challenge of a change of number.
    let pending = app.log_in_until_code("alice").await;
    app.execute("UPDATE challenges SET purpose = 'enable' WHERE closed_at IS NULL")
        .await;
    assert_gone(&pending, &app.last_code()).await;
    // A login with the challenge of another login of the same user.
    app.log_in_until_code("alice").await;
    app.execute("UPDATE challenges SET purpose = 'login' WHERE closed_at IS NULL")
        .await;
    app.execute(
        "UPDATE sessions SET challenge_id = \
         (SELECT MAX(id) FROM challenges WHERE closed_at IS NULL)",
    )
    .await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
    assert_eq!(app.count("SELECT COUNT(*) FROM factors").await, 1);
}

/// ASVS 7.5.1
#[tokio::test]
async fn attack_05_a_stolen_session_changes_no_factor_and_sends_nothing() {
    let (app, alice) = two_factor_login("alice").await;
    let bob = app.register_and_log_in("bob").await;
    app.advance(600);
    let (sent, before) = (app.phone().counters(), app.dump().await);
    for thief in [alice.copy(), bob.copy()] {
        let page = thief.enable(OTHER_PHONE).await;
        page.redirects_to("/reauth?next=%2Fenable_2fa");
        let page = thief.post("/disable_2fa", &[]).await;
        page.redirects_to("/reauth?next=%2Fdisable_2fa");
        for path in ["/enable_2fa", "/disable_2fa"] {
            let page = thief.get(path).await;
            assert!(page.location().unwrap().starts_with("/reauth?next="));
        }
        for path in ["/verify_2fa/resend", "/verify_2fa/call"] {
            thief.post(path, &[]).await.redirects_to("/home");
        }
        let fields = [
            ("password", "a guess of mallory's"),
            ("next", "/enable_2fa"),
        ];
        let page = thief.post("/reauth", &fields).await;
        assert_eq!(page.status, 422);
        assert_eq!(
            page.error_at("password").as_deref(),
            Some("Invalid password")
        );
    }
    assert_eq!(app.phone().counters(), sent);
    app.execute("UPDATE users SET failed_logins = 0").await; // the guess was counted
    let after = app.dump().await;
    assert_eq!(users(&after), users(&before));
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

/// The accounts' lines of a dump.
fn users(dump: &str) -> Vec<&str> {
    dump.lines().filter(|line| line.contains('@')).collect()
}

#[tokio::test]
async fn attack_09_remember_me_never_skips_the_code_nor_prolongs_a_pending_login() {
    let app = two_factor_app("alice").await;
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember_me", "y"),
    ];
    let browser = app.browser();
    for _ in 0..2 {
        let page = browser.post("/login", &fields).await;
        page.redirects_to("/verify_2fa");
        assert!(!page.set_cookie().unwrap().contains("Max-Age"));
        assert!(!page.set_cookie().unwrap().contains("Expires"));
        assert!(!browser.is_logged_in().await);
        let page = browser.verify(&wrong(&app.last_code())).await;
        assert!(page.set_cookie().is_none());

        let page = browser.verify(&app.last_code()).await;
        page.redirects_to("/home");
        let cookie = page.set_cookie().unwrap();
        assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
        browser.post("/logout", &[]).await.redirects_to("/login");
    }
    let page = browser.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let page = browser.verify(&app.last_code()).await;
    assert!(!page.set_cookie().unwrap().contains("Max-Age"));
}
