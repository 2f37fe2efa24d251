//! Renaming: its limit, the email about it, and former usernames.

use twostep::models::rate_limit::RENAMES;

use super::edit::edit;
use crate::support::{Browser, PASSWORD, Page, TestApp};

const DAY: u64 = 24 * 60 * 60;

const TAKEN: &str = "Please use a different username";

async fn rename(browser: &Browser, name: &str) -> Page {
    edit(browser, name, "").await
}

/// Whether another user can register a name.
async fn is_free(app: &TestApp, name: &str) -> bool {
    let email = format!("{name}-{}@example.org", app.state.clock.now());
    let page = app.browser().register(name, &email, PASSWORD).await;
    if page.status == 422 {
        assert_eq!(page.error_at("username").as_deref(), Some(TAKEN));
    }
    page.status == 303
}

/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn a_user_can_change_the_username_five_times_a_day() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    for number in 1..=5 {
        let name = format!("alice{number}");
        let page = rename(&alice, &name).await;
        page.redirects_to(&format!("/user/{name}"));
        alice.follow(&page).await; // shows the message
    }
    assert_eq!(app.used_by(&RENAMES, "alice5").await, 5);
    let before = app.dump().await;
    let page = edit(&alice, "alice6", "Hello").await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (429, Some("86400"))
    );
    assert!(page.says("You have changed your username too often. Try again in 24 hours."));
    assert_eq!(page.value_of("username").as_deref(), Some("alice6"));
    assert_eq!(app.dump().await, before);
    // The rest of the profile can be changed still.
    edit(&alice, "alice5", "Hello")
        .await
        .redirects_to("/user/alice5");
    // A name that differs in case alone counts as well.
    assert_eq!(rename(&alice, "Alice5").await.status, 429);
}

/// ASVS 6.3.7
#[tokio::test]
async fn a_rename_sends_an_email_with_the_former_username() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    rename(&alice, "bella").await.redirects_to("/user/bella");
    let mail = app.next_mail().await;
    assert_eq!(mail.to, "alice@example.com");
    assert_eq!(mail.subject, "Your Twostep username was changed");
    assert!(mail.text.contains("Hello bella"), "{}", mail.text);
    assert!(
        mail.text
            .contains("Your old username, alice, stays reserved"),
        "{}",
        mail.text
    );
    // Its link locks the account.
    let link = crate::support::link(&mail);
    let owner = app.browser();
    owner.get(&link).await.redirects_to("/not_me");
    let page = owner.get("/not_me").await;
    assert!(
        page.text().contains("Your username was changed."),
        "{}",
        page.text()
    );
    let link = page.value_of("link").unwrap();
    assert_eq!(owner.post("/not_me", &[("link", &link)]).await.status, 200);
    assert!(!alice.is_logged_in().await);
}

#[tokio::test]
async fn only_a_new_username_is_recorded() {
    let app = TestApp::start().await;
    let carol = app.register_and_log_in("carol").await;
    for (name, renames) in [("carol", 0), ("carola", 1)] {
        edit(&carol, name, "Hello").await;
        let page = carol.get("/security").await;
        let recorded = page.body.matches("The username was changed").count();
        assert_eq!(recorded, renames, "{name}");
        let sent = renames > 0;
        assert_eq!(!app.mail_to("carol@example.com").await.is_empty(), sent);
    }
}

/// ASVS 2.4.1
#[tokio::test]
async fn attack_14_a_former_name_stays_reserved_for_thirty_days() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    rename(&alice, "bella").await.redirects_to("/user/bella");
    for name in ["alice", "ALICE"] {
        assert!(!is_free(&app, name).await);
        let page = rename(&mallory, name).await;
        assert_eq!(page.error_at("username").as_deref(), Some(TAKEN));
    }
    app.advance(30 * DAY - 1);
    assert!(!is_free(&app, "alice").await);
    app.advance(1);
    assert!(is_free(&app, "alice").await);
}

#[tokio::test]
async fn a_user_can_take_back_a_former_name_and_the_last_one_is_reserved() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    rename(&alice, "bella").await.redirects_to("/user/bella");
    rename(&alice, "Alice").await.redirects_to("/user/Alice");
    assert!(!is_free(&app, "bella").await);
    assert!(!is_free(&app, "alice").await);
    let reserved = "SELECT COUNT(*) FROM former_usernames";
    assert_eq!(app.count(reserved).await, 1);
}

#[tokio::test]
async fn attack_14_more_renames_free_no_former_name() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    for name in ["bella", "carol", "doris"] {
        app.advance(60);
        rename(&alice, name)
            .await
            .redirects_to(&format!("/user/{name}"));
    }
    for name in ["alice", "bella", "carol"] {
        assert!(!is_free(&app, name).await, "{name}");
    }
}

#[tokio::test]
async fn deleting_an_account_frees_its_names() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    rename(&alice, "bella").await.redirects_to("/user/bella");
    app.execute("DELETE FROM users WHERE username_key = 'bella'")
        .await;
    assert!(is_free(&app, "alice").await);
}

/// ASVS 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_no_one_can_register_a_name_during_its_rename() {
    let app = TestApp::start().await;
    for round in 0..5 {
        let name = format!("alice{round}");
        let alice = app.register_and_log_in(&name).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (browser, name) = (app.browser(), name.clone());
            let email = format!("{round}-{number}@example.org");
            tasks.spawn(async move { browser.register(&name, &email, PASSWORD).await.status });
        }
        let page = rename(&alice, &format!("bella{round}")).await;
        assert_eq!(page.status, 303);
        let statuses = tasks.join_all().await;
        assert!(statuses.iter().all(|it| *it == 422), "{statuses:?}");
    }
}
