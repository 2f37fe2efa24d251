//! Attack 3, the swap: half a log-in as the victim and a code of one's own in
//! the same browser. It opens the tutorial's app.

use super::{assert_gone, assert_invalid_token};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, THIRD_PHONE, TestApp};

/// Whose page the navigation leads to.
async fn who(browser: &Browser) -> Option<String> {
    let links = browser.get("/home").await.attributes("header a", "href");
    let profile = links.iter().find_map(|link| link.strip_prefix("/user/"))?;
    Some(profile.to_owned())
}

#[tokio::test]
async fn attack_03_the_swap_step_by_step_makes_nobody_the_victim() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.register("mallory").await;
    let browser = app.browser();

    // Half a log-in as alice, whose password mallory has found out.
    let page = browser.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let half = browser.copy();
    // A whole log-in as mallory, in the same browser.
    let page = browser.log_in("mallory", PASSWORD).await;
    page.redirects_to("/home");
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
    // Mallory's own phone, for mallory's own account.
    browser
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let pending = browser.copy();
    let own = app.last_code();
    assert_eq!(app.last_message().to, OTHER_PHONE);
    browser.post("/logout", &[]).await.redirects_to("/login");
    // And now the code that came to mallory's phone.
    for browser in [&browser, &half, &pending] {
        let page = browser.verify(&own).await;
        page.redirects_to("/login?next=%2Fhome");
        assert_eq!(who(browser).await, None);
    }
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    assert_eq!(app.phone_of("mallory").await, None);
}

#[tokio::test]
async fn attack_03_in_two_browsers_each_code_serves_its_own_account() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let mallory = app.signed_in("mallory").await;
    let half = app.half_logged_in("alice").await;
    let alices = app.last_code();
    mallory
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let own = app.last_code();
    if own != alices {
        assert_invalid_token(&half.verify(&own).await);
    }
    assert_eq!(mallory.verify(&own).await.status, 200);
    assert_eq!(who(&mallory).await.as_deref(), Some("mallory"));
    half.verify(&own).await;
    assert_eq!(who(&half).await, None);

    // With two-factor authentication on for both, and half log-ins as both.
    let browser = app.half_logged_in("alice").await;
    let page = browser.log_in("mallory", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().to, OTHER_PHONE);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
}

#[tokio::test]
async fn attack_03_with_the_number_changed_elsewhere_meanwhile() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    let half = app.half_logged_in("alice").await;
    let old = app.last_code();
    alice.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let new = app.last_code();
    alice.verify(&new).await.redirects_to("/user/alice");
    for code in [&old, &new] {
        assert_gone(&half, code).await;
    }
    let page = half.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/login");
}

#[tokio::test]
async fn attack_03_with_the_user_renamed_meanwhile() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    let mallory = app.signed_in("mallory").await;
    let half = app.half_logged_in("alice").await;
    let code = app.last_code();
    let page = alice.post("/edit_profile", &[("username", "alicia")]).await;
    page.redirects_to("/user/alicia");
    // Once the name is free, mallory takes it.
    app.execute("DELETE FROM former_usernames").await;
    let page = mallory
        .post("/edit_profile", &[("username", "alice")])
        .await;
    page.redirects_to("/user/alice");
    half.verify(&code).await.redirects_to("/home");
    assert_eq!(who(&half).await.as_deref(), Some("alicia"));

    // And while enabling: the code serves the account that asked for it.
    mallory
        .enable(THIRD_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let code = app.last_code();
    let page = mallory
        .post("/edit_profile", &[("username", "mallory")])
        .await;
    page.redirects_to("/user/mallory");
    app.execute("DELETE FROM former_usernames").await;
    let page = alice.post("/edit_profile", &[("username", "alice")]).await;
    page.redirects_to("/user/alice");
    assert_eq!(mallory.verify(&code).await.status, 200);
    assert_eq!(app.phone_of("mallory").await.as_deref(), Some(THIRD_PHONE));
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

/// ASVS 15.3.3
#[tokio::test]
async fn attack_03_with_fields_that_the_form_does_not_have() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.with_two_factor("mallory", OTHER_PHONE).await;
    let alice: String = sqlx::query_scalar("SELECT id FROM users WHERE username = 'alice'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let challenge = app.half_logged_in("alice").await;
    let id: String = sqlx::query_scalar("SELECT id FROM challenges WHERE closed_at IS NULL")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let mut extra = vec![
        ("user_id", alice.as_str()),
        ("user", "alice"),
        ("username", "alice"),
        ("phone", OTHER_PHONE),
        ("verification_phone", OTHER_PHONE),
        ("to", OTHER_PHONE),
        ("challenge", id.as_str()),
        ("challenge_id", id.as_str()),
        ("purpose", "login"),
        ("remember_me", "y"),
        ("next", "/user/alice"),
    ];
    let browser = app.browser();
    let mut login = vec![("password", PASSWORD), ("username", "mallory")];
    login.extend(
        extra
            .iter()
            .filter(|(name, _)| *name != "username" && *name != "remember_me"),
    );
    let page = browser.post("/login", &login).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().to, OTHER_PHONE);
    app.advance(30);
    let page = browser.post("/verify_2fa/resend", &extra).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().to, OTHER_PHONE);
    let code = app.last_code();
    extra.push(("token", &code));
    let page = browser.post("/verify_2fa", &extra).await;
    page.redirects_to("/user/alice"); // the log-in's own `next`
    assert!(!page.set_cookie().unwrap().contains("Max-Age"));
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
    assert_eq!(who(&challenge).await, None);

    // Enabling takes the number from the form that sent the code, for the
    // account that is logged in.
    app.advance(30);
    browser
        .enable(THIRD_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let code = app.last_code();
    extra.pop();
    extra.push(("token", &code));
    let page = browser.post("/verify_2fa", &extra).await;
    page.redirects_to("/user/mallory");
    assert_eq!(app.phone_of("mallory").await.as_deref(), Some(THIRD_PHONE));
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn attack_03_with_two_numbers_asked_one_after_the_other() {
    let app = TestApp::start().await;
    let mallory = app.signed_in("mallory").await;
    // The code of a number in hand does not serve a number that is not.
    mallory
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let (own, first) = (app.last_code(), mallory.copy());
    app.advance(30);
    mallory.enable(PHONE).await.redirects_to("/verify_2fa");
    if own != app.last_code() {
        assert_invalid_token(&mallory.verify(&own).await);
    }
    let page = first.verify(&own).await;
    page.redirects_to("/login?next=%2Fhome");
    // Going back in the browser brings the first verification not back.
    mallory.get("/enable_2fa").await;
    if own != app.last_code() {
        assert_invalid_token(&mallory.verify(&own).await);
    }
    assert_eq!(app.phone_of("mallory").await, None);

    // A second number that is held back changes nothing: the code serves the first one.
    app.advance(30);
    mallory
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    let own = app.last_code();
    assert_eq!(mallory.enable(PHONE).await.status, 429);
    let page = mallory.get("/verify_2fa").await;
    assert!(page.says("We texted a code to •••• 789"), "{}", page.text());
    assert_eq!(mallory.verify(&own).await.status, 200);
    let phone = app.phone_of("mallory").await;
    assert_eq!(phone.as_deref(), Some(OTHER_PHONE));
}
