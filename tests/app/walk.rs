//! The main use of the app, from registration to turning two-factor authentication off.

use crate::support::{PASSWORD, PHONE, TestApp};

#[tokio::test]
async fn a_user_registers_enables_two_factor_logs_in_with_a_code_and_disables_it() {
    let app = TestApp::start().await;
    let browser = app.browser();

    browser.get("/").await.redirects_to("/login?next=%2F");
    assert!(
        browser
            .get("/login?next=%2F")
            .await
            .says("Please log in to access this page.")
    );
    let registered = browser
        .register("Harry", "harry@example.com", PASSWORD)
        .await;
    registered.redirects_to("/login");
    let login = browser.follow(&registered).await;
    assert!(login.says("You have successfully registered. Login to continue"));
    assert!(
        browser.get("/login").await.alerts().is_empty(),
        "a message appears once"
    );

    browser
        .log_in("harry", PASSWORD)
        .await
        .redirects_to("/home");
    let home = browser.get("/home").await;
    assert_eq!(home.first("h1").as_deref(), Some("Welcome home"));
    assert!(home.text().contains("Enable two-factor authentication"));

    let fields = [("username", "harry.p"), ("about_me", "I fly.\r\nOften.")];
    browser
        .post("/edit_profile", &fields)
        .await
        .redirects_to("/user/harry.p");
    let profile = browser.get("/user/harry.p").await;
    assert!(profile.says("Your profile has been updated"));
    assert!(profile.body.contains("I fly.\nOften."));

    browser
        .enable(" +254 (720) 227-267 ")
        .await
        .redirects_to("/verify_2fa");
    let page = browser.get("/verify_2fa").await;
    assert!(
        page.says("We texted a code to +254720227267"),
        "{:?}",
        page.alerts()
    );
    assert_eq!(app.last_message().to, PHONE);
    let enabled = browser.verify(&app.last_code()).await;
    assert_eq!(enabled.status, 200);
    assert_eq!(
        enabled.alerts(),
        ["You have enabled two-factor authentication"]
    );
    assert!(browser.get("/home").await.alerts().is_empty());

    browser.post("/logout", &[]).await.redirects_to("/login");
    assert!(!browser.is_logged_in().await);

    let fields = [
        ("username", "harry.p"),
        ("password", PASSWORD),
        ("next", "/edit_profile"),
    ];
    browser
        .post("/login", &fields)
        .await
        .redirects_to("/verify_2fa");
    assert!(!browser.is_logged_in().await);
    browser
        .verify(&app.last_code())
        .await
        .redirects_to("/edit_profile");
    assert!(browser.is_logged_in().await);

    assert!(
        browser
            .get("/disable_2fa")
            .await
            .text()
            .contains("•••• 267")
    );
    browser
        .post("/disable_2fa", &[])
        .await
        .redirects_to("/user/harry.p");
    assert!(
        browser
            .get("/user/harry.p")
            .await
            .says("You have disabled two-factor authentication")
    );
    assert_eq!(app.phone_of("harry.p").await, None);
}
