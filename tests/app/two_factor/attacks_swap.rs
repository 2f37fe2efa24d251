//! Attack 3, the swap: a pending login as the victim, completed with the attacker's own code
//! in the same browser. It breaks the tutorial's app.

use super::{
    assert_gone, assert_invalid_token, register_and_log_in, two_factor_app, two_factor_login,
};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, THIRD_PHONE};

/// The user whose profile the navigation links to.
async fn who(browser: &Browser) -> Option<String> {
    let links = browser.get("/home").await.attributes("header a", "href");
    let profile = links.iter().find_map(|link| link.strip_prefix("/user/"))?;
    Some(profile.to_owned())
}

#[tokio::test]
async fn attack_03_the_swap_step_by_step_makes_nobody_the_victim() {
    let app = two_factor_app("alice").await;
    app.register("mallory").await;
    let browser = app.browser();

    // A pending login as alice, whose password mallory knows.
    let page = browser.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    let pending_login = browser.copy();
    // A complete login as mallory in the same browser.
    let page = browser.log_in("mallory", PASSWORD).await;
    page.redirects_to("/home");
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
    // Mallory's own phone, for mallory's own account.
    browser.add_phone(OTHER_PHONE).await;
    let pending = browser.copy();
    let own = app.last_code();
    assert_eq!(app.last_message().to, OTHER_PHONE);
    browser.post("/logout", &[]).await.redirects_to("/login");
    // The code on mallory's phone.
    for browser in [&browser, &pending_login, &pending] {
        let page = browser.verify(&own).await;
        page.redirects_to("/login?next=%2Fhome");
        assert_eq!(who(browser).await, None);
    }
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    assert_eq!(app.phone_of("mallory").await, None);
}

#[tokio::test]
async fn attack_03_in_two_browsers_each_code_serves_its_own_account() {
    let app = two_factor_app("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    let pending = app.log_in_until_code("alice").await;
    let alices = app.last_code();
    mallory.add_phone(OTHER_PHONE).await;
    let own = app.last_code();
    if own != alices {
        assert_invalid_token(&pending.verify(&own).await);
    }
    assert_eq!(mallory.verify(&own).await.status, 200);
    assert_eq!(who(&mallory).await.as_deref(), Some("mallory"));
    pending.verify(&own).await;
    assert_eq!(who(&pending).await, None);

    // With two-factor authentication and pending logins for both.
    let browser = app.log_in_until_code("alice").await;
    let page = browser.log_in("mallory", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().to, OTHER_PHONE);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
}

#[tokio::test]
async fn attack_03_with_the_number_changed_elsewhere_meanwhile() {
    let (app, alice) = two_factor_login("alice").await;
    let pending = app.log_in_until_code("alice").await;
    let old = app.last_code();
    alice.add_phone(OTHER_PHONE).await;
    let new = app.last_code();
    alice.verify(&new).await.redirects_to("/user/alice");
    for code in [&old, &new] {
        assert_gone(&pending, code).await;
    }
    let page = pending.post("/verify_2fa/resend", &[]).await;
    page.redirects_to("/login");
}

#[tokio::test]
async fn attack_03_with_the_user_renamed_meanwhile() {
    let (app, alice) = two_factor_login("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let page = alice.post("/edit_profile", &[("username", "alicia")]).await;
    page.redirects_to("/user/alicia");
    // Once the name is free, mallory takes it.
    app.execute("DELETE FROM former_usernames").await;
    let page = mallory
        .post("/edit_profile", &[("username", "alice")])
        .await;
    page.redirects_to("/user/alice");
    pending.verify(&code).await.redirects_to("/home");
    assert_eq!(who(&pending).await.as_deref(), Some("alicia"));

    // While enabling, the code serves the account that requested it.
    mallory.add_phone(THIRD_PHONE).await;
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
    let app = two_factor_app("alice").await;
    app.with_two_factor("mallory", OTHER_PHONE).await;
    let alice: String = sqlx::query_scalar("SELECT id FROM users WHERE username = 'alice'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let challenge = app.log_in_until_code("alice").await;
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
    page.redirects_to("/user/alice"); // the login's own `next`
    assert!(!page.set_cookie().unwrap().contains("Max-Age"));
    assert_eq!(who(&browser).await.as_deref(), Some("mallory"));
    assert_eq!(who(&challenge).await, None);

    // Enabling takes the number from the form that sent the code, for the
    // account that is logged in.
    app.advance(30);
    browser.add_phone(THIRD_PHONE).await;
    let code = app.last_code();
    extra.pop();
    extra.push(("token", &code));
    let page = browser.post("/verify_2fa", &extra).await;
    page.redirects_to("/user/mallory");
    assert_eq!(app.phone_of("mallory").await.as_deref(), Some(THIRD_PHONE));
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn attack_03_with_two_numbers_one_after_the_other() {
    let (app, mallory) = register_and_log_in("mallory").await;
    // The code of one number does not verify another.
    mallory.add_phone(OTHER_PHONE).await;
    let (own, first) = (app.last_code(), mallory.copy());
    app.advance(30);
    mallory.add_phone(PHONE).await;
    if own != app.last_code() {
        assert_invalid_token(&mallory.verify(&own).await);
    }
    let page = first.verify(&own).await;
    page.redirects_to("/login?next=%2Fhome");
    // Going back in the browser does not reopen the first challenge.
    mallory.get("/enable_2fa").await;
    if own != app.last_code() {
        assert_invalid_token(&mallory.verify(&own).await);
    }
    assert_eq!(app.phone_of("mallory").await, None);

    // A second number that gets no code changes nothing: the first code still works.
    app.advance(30);
    mallory.add_phone(OTHER_PHONE).await;
    let own = app.last_code();
    assert_eq!(mallory.enable("+441234").await.status, 422);
    let page = mallory.get("/verify_2fa").await;
    let sentence = format!("We texted a code to {OTHER_PHONE}");
    assert!(page.says(&sentence), "{}", page.text());
    assert_eq!(mallory.verify(&own).await.status, 200);
    let phone = app.phone_of("mallory").await;
    assert_eq!(phone.as_deref(), Some(OTHER_PHONE));
}
