//! `REQUIRE_2FA`.

use super::factor_ids;
use crate::support::{PHONE, TestApp};

const MESSAGE: &str = "This site requires two-factor authentication.";

/// ASVS 6.3.3
#[tokio::test]
async fn a_user_without_a_factor_reaches_only_the_pages_that_add_one() {
    let app = TestApp::with(&[("REQUIRE_2FA", "on")]).await;
    let browser = app.register_and_log_in("alice").await;
    for path in [
        "/",
        "/home",
        "/user/alice",
        "/edit_profile",
        "/change_password",
        "/disable_2fa",
    ] {
        let page = browser.get(path).await;
        page.redirects_to("/enable_2fa");
        let page = browser.follow(&page).await;
        assert!(page.text().contains(MESSAGE), "{path}");
        assert_eq!(page.all("a[href='/authenticator']").len(), 1);
    }
    let fields = [("username", "alice"), ("about_me", "x")];
    browser
        .post("/edit_profile", &fields)
        .await
        .redirects_to("/enable_2fa");
    for path in [
        "/enable_2fa",
        "/authenticator",
        "/reauth",
        "/security",
        "/logout",
    ] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    app.enable(&browser, PHONE).await;
    assert_eq!(browser.get("/home").await.status, 200);
}

#[tokio::test]
async fn the_last_factor_is_replaced_and_not_removed() {
    let app = TestApp::with(&[("REQUIRE_2FA", "on")]).await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let phone = factor_ids(&browser).await.remove(0);
    for path in [
        "/disable_2fa".to_owned(),
        format!("/factors/{phone}/remove"),
    ] {
        let page = browser.post(&path, &[]).await;
        page.redirects_to("/security");
        assert!(
            browser.follow(&page).await.text().contains(MESSAGE),
            "{path}"
        );
        assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    }
    app.add_app(&browser, "App").await;
    let page = browser.post(&format!("/factors/{phone}/remove"), &[]).await;
    page.redirects_to("/security");
    assert_eq!(app.factor_kinds(&browser).await, ["authenticator"]);
}

#[tokio::test]
async fn by_default_no_factor_is_required() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    assert_eq!(browser.get("/home").await.status, 200);
}
