//! Editing the profile.

use tokio::task::JoinSet;

use crate::support::{Browser, PASSWORD, Page, TestApp};

pub async fn edit(browser: &Browser, username: &str, about_me: &str) -> Page {
    let fields = [("username", username), ("about_me", about_me)];
    browser.post("/edit_profile", &fields).await
}

/// The fields of the form. Browsers and the parser drop the first line break of a textarea.
async fn form(browser: &Browser) -> (String, String) {
    let page = browser.get("/edit_profile").await;
    (
        page.value_of("username").unwrap(),
        raw_text(&page, "textarea"),
    )
}

/// An element's text with its whitespace.
fn raw_text(page: &Page, selector: &str) -> String {
    let selector = scraper::Selector::parse(selector).unwrap();
    let html = page.html();
    html.select(&selector).next().unwrap().text().collect()
}

/// ASVS 2.2.1
#[tokio::test]
async fn about_me_has_at_most_140_characters() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let lines = "ab\r\n".repeat(46); // three each, the last end is trimmed
    for (longest, more) in [
        ("a".repeat(140), "a"),
        ("\u{e9}".repeat(140), "\u{e9}"),
        ("\u{1f40e}".repeat(140), "!"),
        (format!("{lines}cd"), "\r\nx"),
        (format!("  {}\r\n\r\n", "b".repeat(140)), "x"),
    ] {
        edit(&browser, "alice", &longest)
            .await
            .redirects_to("/user/alice");
        let shown = raw_text(&browser.get("/user/alice").await, ".about-me");
        assert_eq!(shown, longest.trim().replace("\r\n", "\n"));
        let page = edit(&browser, "alice", &format!("{longest}{more}")).await;
        assert_eq!(page.status, 422);
        let error = page.error_at("about_me").unwrap();
        assert_eq!(error, "Use at most 140 characters");
        let unchanged = raw_text(&browser.get("/user/alice").await, ".about-me");
        assert_eq!(unchanged, shown);
    }
    edit(&browser, "alice", " \r\n ")
        .await
        .redirects_to("/user/alice");
    let page = browser.get("/user/alice").await;
    assert!(
        page.all(".about-me").is_empty(),
        "an empty one is not shown"
    );
}

#[tokio::test]
async fn a_taken_username_is_refused_even_if_ten_users_want_it_at_once() {
    let app = TestApp::start().await;
    app.register("Bob").await;
    let browser = app.register_and_log_in("alice").await;
    for name in ["Bob", "bob", " BOB "] {
        let page = edit(&browser, name, "kept as typed").await;
        assert_eq!(page.status, 422);
        let error = page.error_at("username").unwrap();
        assert_eq!(error, "Please use a different username");
        assert_eq!(page.value_of("username").as_deref(), Some(name));
        assert_eq!(raw_text(&page, "textarea"), "kept as typed");
    }
    let unchanged = ("alice".to_owned(), String::new());
    assert_eq!(form(&browser).await, unchanged, "nor was the text saved");

    let mut requests = JoinSet::new();
    for number in 0..10 {
        let browser = app.register_and_log_in(&format!("user{number}")).await;
        requests.spawn(async move { edit(&browser, "Wanted", "").await });
    }
    let pages = requests.join_all().await;
    let won = pages.iter().filter(|page| page.status == 303).count();
    let lost = pages.iter().filter(|page| page.status == 422).count();
    assert_eq!((won, lost), (1, 9));
}

#[tokio::test]
async fn a_user_can_change_the_case_of_the_username_which_reserves_no_name() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for name in ["alice", "Alice", "ALICE", " alice "] {
        let page = edit(&browser, name, "").await;
        page.redirects_to(&format!("/user/{}", name.trim()));
        let profile = browser.follow(&page).await;
        assert!(profile.says("Your profile has been updated"));
        assert_eq!(profile.first("h1").as_deref(), Some(name.trim()));
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM former_usernames").await, 0);
}

#[tokio::test]
async fn a_new_username_replaces_the_old_one_everywhere() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    edit(&browser, "alicia", "")
        .await
        .redirects_to("/user/alicia");
    assert_eq!(browser.get("/user/alice").await.status, 404);
    let home = browser.get("/home").await;
    assert!(home.text().contains("alicia"));
    let profile = home.attributes("nav a", "href");
    assert!(profile.contains(&"/user/alicia".to_owned()));
    assert_eq!(app.browser().log_in("alice", PASSWORD).await.status, 422);
    app.browser().complete_login("Alicia").await;
}

#[tokio::test]
async fn a_valid_field_keeps_its_value_when_another_is_invalid() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let long = format!("\n{} <b>", "x".repeat(200));
    let page = edit(&browser, " Alicia ", &long).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.value_of("username").as_deref(), Some(" Alicia "));
    assert_eq!(raw_text(&page, "textarea"), long);
    assert_eq!(page.error_at("username"), None);
    for name in ["", "a", "al/ice", "admin", "ali\u{441}e"] {
        let page = edit(&browser, name, "\r\n Hello. ").await;
        assert_eq!(page.status, 422, "{name:?}");
        assert!(page.error_at("username").is_some());
        assert_eq!(page.error_at("about_me"), None);
        assert_eq!(page.value_of("username").as_deref(), Some(name));
        let text = raw_text(&page, "textarea").replace("\r\n", "\n");
        assert_eq!(text, "\n Hello. ");
        assert_eq!(form(&browser).await.0, "alice");
    }
}

/// ASVS 8.2.3, 15.3.3
#[tokio::test]
async fn unknown_fields_change_nothing() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    app.register("bob").await;
    let id: String = sqlx::query_scalar("SELECT id FROM users WHERE username = 'bob'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    app.execute("DELETE FROM rate_limits").await;
    let before = app.dump().await;
    let fields = [
        ("username", "alice"),
        ("about_me", ""),
        ("id", &*id),
        ("user_id", &*id),
        ("email", "new@example.com"),
        ("password", "new"),
        ("password_hash", "x"),
        ("verification_phone", "+254720227267"),
        ("auth_version", "7"),
        ("last_seen_at", "1"),
        ("submit", "Save"),
    ];
    let page = browser.post("/edit_profile", &fields).await;
    page.redirects_to("/user/alice");
    browser.follow(&page).await; // shows the message
    app.execute("DELETE FROM rate_limits").await; // the edit itself counts
    assert_eq!(app.dump().await, before);
}

/// ASVS 1.1.2
#[tokio::test]
async fn saving_repeatedly_does_not_change_the_text() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let text = "a  b\n\n  &amp; <b>\"quoted\"</b> &lt;\n\t</textarea> \u{1f40e}\u{202e}'%41'";
    edit(&browser, "alice", text)
        .await
        .redirects_to("/user/alice");
    for _ in 0..3 {
        let (name, shown) = form(&browser).await;
        assert_eq!(shown, text);
        // As browsers send it.
        let page = edit(&browser, &name, &shown.replace('\n', "\r\n")).await;
        page.redirects_to("/user/alice");
        let profile = browser.get("/user/alice").await;
        assert_eq!(raw_text(&profile, ".about-me"), text);
    }
}
