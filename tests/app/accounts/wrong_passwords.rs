//! The limits of wrong passwords by username.

use twostep::models::rate_limit::WRONG_PASSWORDS;

use crate::support::hashing::QUEUE;
use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

pub(super) const WRONG: &str = "a wrong one";

const FAILURES: &str = "SELECT failed_logins FROM users WHERE username_key = 'alice'";

const RECORDED: &str = "SELECT COUNT(*) FROM activity WHERE event = 'wrong_password'";

/// Sends wrong passwords, below the limits.
pub(super) async fn fail(browser: &Browser, name: &str, times: usize) {
    for number in 1..=times {
        let page = browser.log_in(name, WRONG).await;
        assert_eq!(page.status, 422, "{name}, {number}");
    }
}

/// Counts the wrong passwords for a username from this machine.
async fn counted(app: &TestApp, name: &str) -> i64 {
    let subject = format!("127.0.0.1 name {name}");
    app.used(&WRONG_PASSWORDS, &subject).await
}

/// Asserts a refusal with the time to wait.
#[track_caller]
pub(super) fn assert_too_many(page: &Page, seconds: &str, words: &str) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some(seconds));
    let sentence = format!("Too many wrong passwords. Try again in {words}.");
    assert_eq!(page.alerts(), [sentence]);
    assert_eq!(page.set_cookie(), None);
    assert!(page.all(".invalid-feedback").is_empty());
}

/// ASVS 2.3.2, 2.4.1, 6.3.1
#[tokio::test]
async fn ten_wrong_passwords_in_15_minutes_are_compared_and_the_eleventh_is_not() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let browser = app.browser();
    fail(&browser, "alice", 1).await;
    app.advance(180);
    fail(&browser, "alice", 9).await;
    let before = app.dump().await;
    for password in [WRONG, PASSWORD] {
        let fields = [
            ("username", " Alice"),
            ("password", password),
            ("remember_me", "1"),
            ("next", "/user/alice"),
        ];
        let page = browser.post("/login", &fields).await;
        assert_too_many(&page, "720", "12 minutes");
        assert_eq!(page.value_of("username").as_deref(), Some(" Alice"));
        assert_eq!(page.value_of("next").as_deref(), Some("/user/alice"));
        assert_eq!(page.value_of("password"), None);
        assert_eq!(page.all("input[name=remember_me][checked]").len(), 1);
    }
    assert_eq!(app.dump().await, before, "a refusal changes nothing");
    assert_eq!(app.count(FAILURES).await, 10);
    assert_eq!(app.count(RECORDED).await, 10);

    assert_accepts_after(&app, &browser, 720).await;
}

/// Asserts that the right password is accepted after so many seconds, and not before.
async fn assert_accepts_after(app: &TestApp, browser: &Browser, seconds: u64) {
    app.advance(seconds - 1);
    let page = browser.log_in("alice", PASSWORD).await;
    assert_too_many(&page, "1", "1 second");
    app.advance(1);
    browser.complete_login("alice").await;
}

#[tokio::test]
async fn a_right_password_does_not_count_and_does_not_reset_the_count() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.with_two_factor("guarded", PHONE).await;
    for (name, place) in [("alice", "/home"), ("guarded", "/verify_2fa")] {
        fail(&app.browser(), name, 9).await;
        for _ in 0..3 {
            let page = app.browser().log_in(name, PASSWORD).await;
            page.redirects_to(place);
        }
        fail(&app.browser(), name, 1).await;
        let page = app.browser().log_in(name, PASSWORD).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    assert_eq!(counted(&app, "alice").await, 10);
    assert_eq!(counted(&app, "guarded").await, 10);
}

#[tokio::test]
async fn case_and_spaces_make_no_other_username() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let names = ["alice", "ALICE", " aLiCe", "alice\t", "\u{a0}Alice "];
    for name in names.into_iter().cycle().take(10) {
        fail(&app.browser(), name, 1).await;
    }
    for name in names {
        let page = app.browser().log_in(name, PASSWORD).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    fail(&app.browser(), "alic", 1).await;
}

/// ASVS 6.3.1, 6.3.8
#[tokio::test]
async fn attack_13_wrong_passwords_for_unknown_usernames_count_too() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let long = "x".repeat(5000);
    let names = [
        "alice",
        "nobody",
        "no such name",
        "",
        "\0",
        "a\0b",
        "alice@example.com",
        &long,
    ];
    for name in names {
        fail(&app.browser(), name, 10).await;
        let page = app.browser().log_in(name, WRONG).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    for name in names {
        assert_eq!(counted(&app, name).await, 10);
    }
    assert_eq!(app.count(RECORDED).await, 10);
    // A typed username may be a password.
    let typed = "SELECT COUNT(*) FROM rate_limits WHERE key LIKE '%alice%'";
    assert_eq!(app.count(typed).await, 0);
}

/// ASVS 6.1.1, 6.3.1
#[tokio::test]
async fn attack_21_a_stranger_on_another_network_does_not_lock_the_owner_out() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    let alice = app.browser().at("203.0.113.9");
    let mallory = app.browser().at("198.51.100.7");
    for _ in 0..3 {
        fail(&mallory, "alice", 10).await;
        let page = mallory.log_in("alice", PASSWORD).await;
        assert_too_many(&page, "900", "15 minutes");
        alice.complete_login("alice").await;
        let fields = [("password", PASSWORD)];
        alice.post("/reauth", &fields).await.redirects_to("/home");
        alice.post("/logout", &[]).await.redirects_to("/login");
        app.advance(900);
    }
    // Other usernames from that address are not affected.
    fail(&mallory, "alice", 10).await;
    fail(&mallory, "bob", 10).await;
}

/// A customer may have a /56, which has 256 networks, or a whole /48.
///
/// ASVS 2.4.1, 6.3.1, 15.3.4
#[tokio::test]
async fn attack_06_each_network_of_a_site_gets_ten_guesses_at_a_username_and_the_site_fifty() {
    let app = TestApp::behind_proxy().await;
    app.register("alice").await;
    for network in 0..5 {
        let at = |host| app.browser().at(&format!("2001:db8:1:{network}:{host}"));
        fail(&at(":1"), "Alice", 5).await;
        fail(&at("ffff::9"), "Alice", 5).await;
        let page = at("8000::").log_in("alice", WRONG).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    let browser = app.browser().at("2001:db8:1:ffff::1");
    for password in [WRONG, PASSWORD] {
        let page = browser.log_in("alice", password).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    // Other usernames and other sites are not affected.
    fail(&browser, "bob", 1).await;
    let elsewhere = app.browser().at("2001:db8:2:ffff::1");
    elsewhere.complete_login("alice").await;
    assert_accepts_after(&app, &browser, 900).await;
}

async fn rename(browser: &Browser, name: &str) {
    let fields = [("username", name), ("about_me", "")];
    let page = browser.post("/edit_profile", &fields).await;
    page.redirects_to(&format!("/user/{name}"));
    browser.follow(&page).await; // shows the message
}

/// ASVS 6.3.1, 15.3.4
#[tokio::test]
async fn attack_05_a_session_thief_gets_fifty_guesses_per_site_under_any_username() {
    let app = TestApp::behind_proxy().await;
    let thief = app.register_and_log_in("alice").await.copy();
    // With the device cookie, only ten guesses are compared.
    thief.remove_cookie("twostep_device");
    for network in 0..5 {
        rename(&thief, &format!("alice{network}")).await;
        let there = thief.copy().at(&format!("2001:db8:1:{network}::1"));
        for _ in 0..10 {
            let page = there.post("/reauth", &[("password", WRONG)]).await;
            assert_eq!(page.status, 422);
        }
    }
    let there = thief.copy().at("2001:db8:1:ffff::1");
    let page = there.post("/reauth", &[("password", PASSWORD)]).await;
    assert_too_many(&page, "900", "15 minutes");
}

/// ASVS 2.4.1, 6.3.1, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_06_of_fifty_parallel_wrong_passwords_ten_are_compared() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let browser = app.browser();
        requests.spawn(async move { browser.log_in("alice", WRONG).await.status });
    }
    let statuses = requests.join_all().await;
    let of = |status| statuses.iter().filter(|it| **it == status).count();
    assert_eq!((of(422), of(429)), (10, 40), "{statuses:?}");
    assert_eq!(app.count(FAILURES).await, 10);
    assert_eq!(app.count(RECORDED).await, 10);
    let page = app.browser().log_in("alice", PASSWORD).await;
    assert_too_many(&page, "900", "15 minutes");
}

/// ASVS 6.2.3
#[tokio::test]
async fn reauthentication_and_password_changes_count_too() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    alice.remove_cookie("twostep_device"); // a known device has its own limit
    let new = "a slow boat to nowhere";
    let change = async |current| {
        let fields = [
            ("current_password", current),
            ("password", new),
            ("confirm_password", new),
        ];
        alice.post("/change_password", &fields).await
    };
    let reauth = async |password| {
        let fields = [("password", password), ("next", "/enable_2fa")];
        alice.post("/reauth", &fields).await
    };
    fail(&app.browser(), "alice", 4).await;
    for _ in 0..3 {
        assert_eq!(reauth(WRONG).await.status, 422);
        assert_eq!(change(WRONG).await.status, 422);
    }
    for password in [WRONG, PASSWORD] {
        let page = reauth(password).await;
        assert_too_many(&page, "900", "15 minutes");
        assert_eq!(page.value_of("next").as_deref(), Some("/enable_2fa"));
        let page = change(password).await;
        assert_too_many(&page, "900", "15 minutes");
        let page = app.browser().log_in("alice", password).await;
        assert_too_many(&page, "900", "15 minutes");
    }
    assert_eq!(app.count(FAILURES).await, 10);
    assert_eq!(app.count(RECORDED).await, 10);
    assert!(alice.is_logged_in().await);
    app.advance(900);
    reauth(PASSWORD).await.redirects_to("/enable_2fa");
    change(PASSWORD).await.redirects_to("/user/alice");
}

#[tokio::test]
async fn attack_05_a_session_thief_gets_no_more_guesses_after_renames() {
    let app = TestApp::start().await;
    let thief = app.register_and_log_in("alice").await.copy();
    thief.remove_cookie("twostep_device"); // a known device has its own limit
    let guess = async || thief.post("/reauth", &[("password", WRONG)]).await;
    for (number, guesses) in [4, 2, 2, 2].into_iter().enumerate() {
        rename(&thief, &format!("alice{number}")).await;
        for _ in 0..guesses {
            assert_eq!(guess().await.status, 422);
        }
    }
    rename(&thief, "alice").await;
    assert_too_many(&guess().await, "900", "15 minutes");
    // The owner's login counts by username.
    app.log_in("alice").await;
}

#[tokio::test]
async fn the_count_survives_a_restart() {
    let app = TestApp::start().await;
    app.register("alice").await;
    fail(&app.browser(), "alice", 6).await;
    let app = app.restarted(&[]).await;
    fail(&app.browser(), "alice", 4).await;
    let app = app.restarted(&[]).await;
    let page = app.browser().log_in("alice", PASSWORD).await;
    assert_too_many(&page, "900", "15 minutes");
    app.advance(900);
    app.log_in("alice").await;
}

#[tokio::test]
async fn attack_21_a_password_that_a_flood_keeps_from_being_compared_does_not_count() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let blocked = app.block_hashing(None, QUEUE).await;
    for _ in 0..11 {
        let page = app.browser().log_in("alice", PASSWORD).await;
        assert_eq!(page.status, 503);
    }
    blocked.release().await;
    assert_eq!(counted(&app, "alice").await, 0);
    assert_eq!(app.count(FAILURES).await, 0);
    fail(&app.browser(), "alice", 10).await;
}
