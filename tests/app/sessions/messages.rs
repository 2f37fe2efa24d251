//! Flash messages in a session.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn a_message_is_shown_on_exactly_one_page_whatever_its_status() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let welcome = "You have successfully registered. Login to continue";
    let page = browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    page.redirects_to("/login");

    let before = app.dump().await;
    browser.head("/login").await;
    assert_eq!(app.dump().await, before, "HEAD shows no page");
    browser
        .get("/home")
        .await
        .redirects_to("/login?next=%2Fhome"); // shows no page either
    let wrong = browser.log_in("alice", "wrong").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.says(welcome), "{:?}", wrong.alerts());
    let login = browser.get("/login").await;
    assert!(login.alerts().is_empty(), "the 422 page showed it");

    browser.log_in("alice", PASSWORD).await;
    let fields = [("username", "alice"), ("about_me", "Hello.")];
    browser.post("/edit_profile", &fields).await;
    let missing = browser.get("/user/nobody").await;
    assert_eq!(missing.status, 404);
    assert!(missing.alerts().is_empty());
    let home = browser.get("/home").await;
    assert!(home.says("Your profile has been updated"));
    assert!(browser.get("/home").await.alerts().is_empty());
}

#[tokio::test]
async fn fifty_parallel_requests_leave_a_session_intact() {
    let app = TestApp::start().await;
    let browser = Arc::new(app.register_and_log_in("alice").await);
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let browser = Arc::clone(&browser);
        requests.spawn(async move {
            if number % 2 == 0 {
                browser.get("/home").await
            } else {
                let fields = [("username", "alice"), ("about_me", "Hello.")];
                browser.post("/edit_profile", &fields).await
            }
        });
    }
    for page in requests.join_all().await {
        assert!(page.status < 400, "{}", page.text());
        assert_eq!(page.set_cookie(), None);
    }
    let fields = [("username", "alice"), ("about_me", "Bye.")];
    browser.post("/edit_profile", &fields).await;
    let home = browser.get("/home").await;
    assert!(home.says("Your profile has been updated"));
    assert!(browser.get("/home").await.alerts().is_empty());
}

/// ASVS 1.5.2
#[tokio::test]
async fn unreadable_data_counts_as_no_messages() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for sql in [
        "UPDATE sessions SET data = ''",
        "UPDATE sessions SET data = 'rubbish'",
        "UPDATE sessions SET data = 'null'",
        "UPDATE sessions SET data = '[]'",
        "UPDATE sessions SET data = '{\"messages\": 5}'",
        "UPDATE sessions SET data = '{\"messages\": [{\"text\": 1}]}'",
        "UPDATE sessions SET data = '{\"messages\": [[]], \"more\": {}}'",
    ] {
        app.execute(sql).await;
        let home = browser.get("/home").await;
        assert_eq!(home.status, 200, "{sql}");
        assert!(home.alerts().is_empty());
        app.execute(sql).await;
        let fields = [("username", "alice"), ("about_me", "")];
        let page = browser.post("/edit_profile", &fields).await;
        page.redirects_to("/user/alice");
        let home = browser.get("/home").await;
        assert!(home.says("Your profile has been updated"), "{sql}");
    }
}
