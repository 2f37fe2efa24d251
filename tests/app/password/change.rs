//! `/change_password`

use twostep::dev::simulator::Failure;

use super::{LINKS, NEW, assert_errors, assert_password, change};
use crate::sessions::in_flight::once_right;
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

/// ASVS 6.2.2, 6.2.3, 7.2.4
#[tokio::test]
async fn the_password_changes_and_this_browser_stays_logged_in() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    app.register("bob").await;
    let profile = browser.get("/user/alice").await;
    let links = profile.attributes("main a", "href");
    assert!(links.contains(&"/change_password".to_owned()), "{links:?}");
    let other = browser.get("/user/bob").await;
    assert!(!other.body.contains("/change_password"));
    let form = browser.get("/change_password").await;
    assert_eq!(form.status, 200);
    let kinds = form.attributes("main input", "autocomplete");
    let expected = [
        "username",
        "current-password",
        "new-password",
        "new-password",
    ];
    assert_eq!(kinds, expected);
    let stolen = browser.copy();
    let changed = change(&browser, PASSWORD, NEW).await;
    changed.redirects_to("/user/alice");
    let page = browser.follow(&changed).await;
    assert!(page.says("Your password has been changed"));
    assert!(!stolen.is_logged_in().await, "the old cookie still works");
    assert_password(&app, "alice", NEW, PASSWORD).await;
    assert_password(&app, "bob", PASSWORD, NEW).await;
    assert!(!app.dump().await.contains(NEW));
}

/// ASVS 2.2.3, 6.2.3
#[tokio::test]
async fn each_field_has_its_rule_and_its_error() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("zebedee").await;
    let before = app.dump().await;
    for (fields, errors) in [
        (
            ["wrong", NEW, NEW],
            vec![("current_password", "Invalid password")],
        ),
        (
            ["", NEW, NEW],
            vec![("current_password", "Invalid password")],
        ),
        (
            ["wrong", "x", "y"],
            vec![
                ("password", "8 characters"),
                ("confirm_password", "do not match"),
            ],
        ),
        (
            [PASSWORD, "xk7#qpz", "xk7#qpz"],
            vec![("password", "Use at least 8 characters")],
        ),
        (
            [PASSWORD, NEW, PASSWORD],
            vec![("confirm_password", "do not match")],
        ),
        (
            [PASSWORD, PASSWORD, PASSWORD],
            vec![("password", "your current password")],
        ),
    ] {
        let names = ["current_password", "password", "confirm_password"];
        let pairs: Vec<_> = names.into_iter().zip(fields).collect();
        let page = browser.post("/change_password", &pairs).await;
        assert_errors(&page, &errors);
        for name in names {
            assert_eq!(page.value_of(name), None);
        }
        assert!(!page.body.contains(NEW) && !page.body.contains(PASSWORD));
        // A wrong one counts as a failed login, and changes nothing else.
        app.execute("UPDATE users SET failed_logins = 0").await;
        app.execute("DELETE FROM activity WHERE event = 'wrong_password'")
            .await;
        app.execute("DELETE FROM rate_limits").await;
        assert_eq!(app.dump().await, before, "{fields:?}");
    }
    let page = browser.post("/change_password", &[]).await;
    assert_errors(&page, &[("password", "8 characters")]);
}

/// ASVS 7.4.3
#[tokio::test]
async fn a_change_revokes_all_access_by_the_old_password() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let bob = app.register_and_log_in("bob").await;
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    let other = app.log_in_until_code("alice").await;
    other.verify(&app.last_code()).await.redirects_to("/home");
    let link = app.reset_link("alice").await;
    let bobs = app.reset_link("bob").await;
    bob.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    app.advance(31);
    let late = app.log_in_until_code("alice").await;
    let code = app.last_code();
    assert_eq!(app.open_challenges().await, 3);
    let cancelled = app.phone().counters().cancels;
    change(&browser, PASSWORD, NEW)
        .await
        .redirects_to("/user/alice");
    assert_eq!(app.open_challenges().await, 1, "bob's stays");
    assert_eq!(app.phone().counters().cancels, cancelled + 1);
    late.verify(&code).await.redirects_to("/login");
    for gone in [&pending, &other, &late] {
        assert!(!gone.is_logged_in().await);
    }
    assert!(browser.is_logged_in().await && bob.is_logged_in().await);
    let page = app.browser().get(&link).await;
    page.redirects_to("/reset_password_request");
    app.browser()
        .get(&bobs)
        .await
        .redirects_to("/reset_password");
    assert_eq!(app.count(LINKS).await, 1);
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn the_password_changes_even_if_twilio_is_unreachable() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    app.phone().fail_with(Some(Failure::Silence));
    change(&browser, PASSWORD, NEW)
        .await
        .redirects_to("/user/alice");
    assert_eq!(app.open_challenges().await, 0);
}

/// ASVS 7.5.1
#[tokio::test]
async fn attack_05_a_stale_session_cannot_change_the_password() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    app.advance(601);
    let page = change(&browser, PASSWORD, NEW).await;
    page.redirects_to("/reauth?next=%2Fchange_password");
    assert_password(&app, "alice", PASSWORD, NEW).await;
}

#[tokio::test]
async fn attack_18_a_session_that_ended_meanwhile_changes_nothing() {
    for sql in [
        "UPDATE users SET auth_version = auth_version + 1",
        "DELETE FROM sessions WHERE user_id IS NOT NULL",
    ] {
        let app = TestApp::start().await;
        let browser = app.register_and_log_in("alice").await;
        once_right(&app, sql).await;
        let late = change(&browser, PASSWORD, NEW).await;
        late.redirects_to("/login?next=%2Fhome");
        assert_eq!(late.set_cookie(), None);
        app.drop_trigger("once_right").await;
        assert_password(&app, "alice", PASSWORD, NEW).await;
    }
}

#[tokio::test]
async fn the_well_known_address_redirects_to_the_page() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("harry").await;
    let page = browser.get("/.well-known/change-password").await;
    page.redirects_to("/change_password");
    assert_eq!(browser.follow(&page).await.status, 200);
}
