use twostep::models::outbox::NoticeKind;

use super::factor_ids;
use crate::support::{PHONE, TestApp};

#[tokio::test]
async fn factors_are_removed_one_by_one_and_the_last_turns_two_factor_authentication_off() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.add_app(&browser, "Tablet").await;
    let ids = factor_ids(&browser).await;
    assert_eq!(app.factor_kinds(&browser).await, ["phone", "authenticator"]);
    let page = browser
        .post(&format!("/factors/{}/remove", ids[1]), &[])
        .await;
    page.redirects_to("/security");
    let page = browser.follow(&page).await;
    assert!(
        page.text()
            .contains("You have removed the authenticator app “Tablet”"),
        "{}",
        page.text()
    );
    assert_eq!(app.recovery_codes_left("alice").await, 10);
    let page = browser
        .post(&format!("/factors/{}/remove", ids[0]), &[])
        .await;
    page.redirects_to("/security");
    let page = browser.follow(&page).await;
    assert!(
        page.text()
            .contains("You have disabled two-factor authentication")
    );
    assert_eq!(app.recovery_codes_left("alice").await, 0);
    assert!(app.factor_kinds(&browser).await.is_empty());
    app.browser().complete_login("alice").await;
}

#[tokio::test]
async fn a_factor_of_another_user_is_not_removed() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    let mallory = app.register_and_log_in("mallory").await;
    let id = factor_ids(&alice).await.remove(0);
    for id in [&*id, "x", "%01"] {
        let page = mallory.post(&format!("/factors/{id}/remove"), &[]).await;
        assert_eq!(page.status, 404, "{id}");
    }
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn a_removed_factor_closes_the_challenges_that_are_open() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let authenticator = app.add_app(&browser, "App").await;
    let pending = app.log_in_until_code("alice").await;
    let id = factor_ids(&browser).await.remove(1);
    browser
        .post(&format!("/factors/{id}/remove"), &[])
        .await
        .redirects_to("/security");
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/login");
    let pending = app.log_in_until_code("alice").await;
    let page = pending.verify(&authenticator.code(&app)).await;
    assert_eq!(
        page.status,
        422,
        "{:?} {}",
        page.location(),
        app.last_code()
    );
    pending.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn disabling_removes_all_factors() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    app.add_app(&browser, "App").await;
    let page = browser.get("/disable_2fa").await;
    assert!(
        page.text()
            .contains("the phone •••• 267 and the authenticator app “App”"),
        "{}",
        page.text()
    );
    browser
        .post("/disable_2fa", &[])
        .await
        .redirects_to("/user/alice");
    assert!(app.factor_kinds(&browser).await.is_empty());
}

#[tokio::test]
async fn a_phone_beside_an_app_is_added_and_not_changed() {
    let app = TestApp::start().await;
    let (browser, _authenticator) = app.with_app("alice").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/security");
    let page = browser.follow(&page).await;
    assert!(page.text().contains("You have added your phone number"));
    assert_eq!(app.factor_kinds(&browser).await, ["authenticator", "phone"]);
}

/// ASVS 6.3.7
#[tokio::test]
async fn each_change_is_emailed_and_its_link_undoes_it() {
    let day = 24 * 60 * 60;
    let app = TestApp::keeping_mail().await;
    let (intruder, owners) = app.with_app("alice").await;
    app.execute("UPDATE factors SET created_at = created_at - 172800")
        .await;
    app.empty_outbox().await;
    // The intruder replaces the owner's app.
    let theirs = app.add_app(&intruder, "Intruder").await;
    let id = factor_ids(&intruder).await.remove(0);
    intruder
        .post(&format!("/factors/{id}/remove"), &[])
        .await
        .redirects_to("/security");
    let notices = app.notices("alice").await;
    let kinds: Vec<_> = notices.iter().map(|it| it.event).collect();
    let expected = [
        NoticeKind::AuthenticatorAdded,
        NoticeKind::AuthenticatorRemoved,
    ];
    assert_eq!(kinds, expected);
    app.advance(day / 2);
    let link = app.not_me_of("alice", &notices[0]).await;
    let owner = app.browser();
    owner.get(&link).await.redirects_to("/not_me");
    let page = owner.get("/not_me").await;
    assert!(page.text().contains("works again"), "{}", page.text());
    let name = page.value_of("link").unwrap();
    assert_eq!(owner.post("/not_me", &[("link", &name)]).await.status, 200);
    // The password is locked; the owner's app is a factor again, the intruder's is not.
    let kept = "SELECT COUNT(*) FROM factors WHERE removed_at IS NULL";
    assert_eq!(app.count(kept).await, 1);
    app.execute("UPDATE users SET password_hash = (SELECT password_hash FROM users LIMIT 1)")
        .await;
    app.register("ron").await;
    app.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users \
         WHERE username_key = 'ron') WHERE username_key = 'alice'",
    )
    .await;
    let pending = app.log_in_until_code("alice").await;
    assert_eq!(pending.verify(&theirs.code(&app)).await.status, 422);
    pending
        .verify(&owners.code(&app))
        .await
        .redirects_to("/home");
}
