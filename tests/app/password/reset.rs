//! `/reset_password`: the password rules, and the access that a reset revokes.

use tokio::task::JoinSet;

use super::{EXPIRED, LINKS, NEW, assert_errors, assert_password, change, reset, with_link};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, THIRD_PHONE, TestApp};
use crate::two_factor::wrong;

const RESET_DONE: &str = "Your password has been reset.";
const REQUEST: &str = "/reset_password_request";

#[tokio::test]
async fn a_new_password_is_set_with_the_rules_of_registration() {
    let app = TestApp::start().await;
    app.register("zebedee").await;
    let browser = with_link(&app, "zebedee").await;
    let form = browser.get("/reset_password").await;
    let kinds = form.attributes("main input", "autocomplete");
    assert_eq!(kinds, ["username", "new-password", "new-password"]);
    for (password, reason) in [
        ("xk7#qpz", "Use at least 8 characters"),
        ("password1", "easy to guess"),
        ("zebedee123", "too close to your name"),
    ] {
        let page = reset(&browser, password).await;
        assert_errors(&page, &[("password", reason)]);
        assert!(!page.body.contains(&format!("value=\"{password}\"")));
    }
    let fields = [("password", NEW), ("confirm_password", "x")];
    let page = browser.post("/reset_password", &fields).await;
    assert_errors(&page, &[("confirm_password", "The passwords do not match")]);
    let page = browser.post("/reset_password", &[]).await;
    assert_errors(&page, &[("password", "8 characters")]);

    let done = reset(&browser, NEW).await;
    done.redirects_to("/login");
    let login = browser.follow(&done).await;
    assert_eq!(login.status, 200, "no login");
    assert!(login.says(RESET_DONE));
    assert_password(&app, "zebedee", NEW, PASSWORD).await;
    // Even the old one is accepted, since the user has forgotten it.
    let browser = with_link(&app, "zebedee").await;
    reset(&browser, NEW).await.redirects_to("/login");
}

#[tokio::test]
async fn a_reset_refunds_the_codes_sent_for_the_old_password() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    for _ in 0..7 {
        app.advance(31);
        app.log_in_until_code("alice").await;
    }
    let sent = app.messages_sent();
    app.advance(31);
    let page = app
        .log_in_until_code("alice")
        .await
        .get("/verify_2fa")
        .await;
    assert!(page.says("Too many codes were sent for this account."));
    assert_eq!(app.messages_sent(), sent);
    let browser = with_link(&app, "alice").await;
    reset(&browser, NEW).await.redirects_to("/login");
    app.advance(31);
    let page = app.browser().log_in("alice", NEW).await;
    page.redirects_to("/verify_2fa");
    assert_eq!(app.messages_sent(), sent + 1);
}

#[tokio::test]
async fn wrong_codes_and_codes_for_enabling_stay_counted_through_a_reset() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    for _ in 0..2 {
        app.advance(31);
        let thief = app.log_in_until_code("alice").await;
        for _ in 0..5 {
            thief.verify(&wrong(&app.last_code())).await;
        }
    }
    let bob = app.register_and_log_in("bob").await;
    for n in 0..6 {
        app.advance(31);
        let phone = [OTHER_PHONE, THIRD_PHONE][n % 2];
        bob.enable(phone).await.redirects_to("/verify_2fa");
    }
    for name in ["alice", "bob"] {
        let browser = with_link(&app, name).await;
        reset(&browser, NEW).await.redirects_to("/login");
    }
    app.advance(31);
    let alice = app.browser();
    alice.log_in("alice", NEW).await.redirects_to("/verify_2fa");
    assert_eq!(alice.verify(&app.last_code()).await.status, 429);
    let bob = app.browser();
    bob.log_in("bob", NEW).await.redirects_to("/home");
    assert_eq!(bob.enable(OTHER_PHONE).await.status, 429);
}

#[tokio::test]
async fn with_two_links_in_two_tabs_a_form_never_sets_the_other_accounts_password() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("mallory").await;
    let browser = with_link(&app, "alice").await;
    let page = browser.get("/reset_password").await;
    assert_eq!(page.first("main strong").as_deref(), Some("alice"));
    let link = page.value_of("link").unwrap();
    let other = app.reset_link("mallory").await;
    browser.get(&other).await.redirects_to("/reset_password");
    let send = async |link: &str| {
        let fields = [("password", NEW), ("confirm_password", NEW), ("link", link)];
        browser.post("/reset_password", &fields).await
    };
    send(&link).await.redirects_to("/reset_password");
    for name in ["alice", "mallory"] {
        assert_password(&app, name, PASSWORD, NEW).await;
    }
    let page = browser.get("/reset_password").await;
    assert_eq!(page.first("main strong").as_deref(), Some("mallory"));
    send(&page.value_of("link").unwrap())
        .await
        .redirects_to("/login");
    assert_password(&app, "mallory", NEW, PASSWORD).await;
    assert_password(&app, "alice", PASSWORD, NEW).await;
}

/// ASVS 6.3.6, 6.4.3, 7.4.3, 8.3.2
#[tokio::test]
async fn attack_08_a_reset_logs_nobody_in_and_ends_every_session() {
    let app = TestApp::start().await;
    let first = app.with_two_factor("alice", PHONE).await;
    let bob = app.register_and_log_in("bob").await;
    app.advance(31);
    let remembered = app.browser();
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember_me", "1"),
    ];
    remembered.post("/login", &fields).await;
    remembered
        .verify(&app.last_code())
        .await
        .redirects_to("/home");
    app.advance(31);
    first.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let enabling = app.last_code();
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    let code = app.last_code();
    let cancelled = app.phone().counters().cancels;
    let browser = with_link(&app, "alice").await;
    reset(&browser, NEW).await.redirects_to("/login");

    pending.verify(&code).await.redirects_to("/login");
    for gone in [&browser, &first, &remembered, &pending] {
        gone.get("/home").await.redirects_to("/login?next=%2Fhome");
    }
    first
        .verify(&enabling)
        .await
        .redirects_to("/login?next=%2Fhome");
    assert!(bob.is_logged_in().await);
    assert_eq!(app.logins().await, 1);
    assert_eq!(app.open_challenges().await, 0);
    assert_eq!(app.phone().counters().cancels, cancelled + 2);

    // Two-factor authentication stays on.
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    app.advance(31);
    let page = browser.log_in("alice", NEW).await;
    page.redirects_to("/verify_2fa");
    assert!(!browser.is_logged_in().await);
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

#[tokio::test]
async fn a_reset_logs_out_this_browser_too() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let stolen = browser.copy();
    let page = browser.get(&app.reset_link("alice").await).await;
    page.redirects_to("/reset_password");
    let done = reset(&browser, NEW).await;
    done.redirects_to("/login");
    let login = browser.follow(&done).await;
    assert_eq!(login.status, 200);
    assert!(login.says(RESET_DONE));
    assert!(!stolen.is_logged_in().await);
    assert_ne!(browser.session_cookie(), stolen.session_cookie());
    assert_eq!(app.logins().await, 0);
}

#[tokio::test]
async fn a_reset_closes_a_login_challenge_in_the_same_browser() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    let code = app.last_code();
    browser.get(&app.reset_link("alice").await).await;
    let done = reset(&browser, NEW).await;
    assert!(browser.follow(&done).await.says(RESET_DONE));
    browser.verify(&code).await.redirects_to("/login");
    assert!(!browser.is_logged_in().await);
}

#[tokio::test]
async fn another_users_session_in_the_same_browser_stays() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let bob = app.register_and_log_in("bob").await;
    bob.get(&app.reset_link("alice").await).await;
    let form = bob.get("/reset_password").await;
    assert!(form.first("main strong").as_deref() == Some("alice"));
    let done = reset(&bob, NEW).await;
    done.redirects_to("/login");
    let home = bob.follow(&done).await;
    home.redirects_to("/home");
    assert!(bob.follow(&home).await.says(RESET_DONE));
    assert!(bob.is_logged_in().await && !alice.is_logged_in().await);
    assert_password(&app, "alice", NEW, PASSWORD).await;
    assert_password(&app, "bob", PASSWORD, NEW).await;
}

/// ASVS 8.2.2, 15.3.3
#[tokio::test]
async fn a_link_changes_its_own_account_whatever_else_is_sent() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("bob").await;
    let alices = app.user("alice").await.id;
    let browser = with_link(&app, "bob").await;
    let fields = [
        ("password", NEW),
        ("confirm_password", NEW),
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("user_id", alices.as_str()),
        ("token", "x"),
    ];
    let page = browser
        .post("/reset_password?username=alice", &fields)
        .await;
    page.redirects_to("/login");
    assert_password(&app, "alice", PASSWORD, NEW).await;
    assert_password(&app, "bob", NEW, PASSWORD).await;
}

/// ASVS 6.4.1, 6.5.1
#[tokio::test]
async fn attack_08_a_link_works_once_and_revokes_older_ones() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("bob").await;
    let bobs = app.reset_link("bob").await;
    let older = with_link(&app, "alice").await;
    let link = app.reset_link("alice").await;
    let used = app.browser();
    used.get(&link).await;
    let copy = used.copy();
    reset(&used, NEW).await.redirects_to("/login");
    for browser in [&used, &copy, &older] {
        let page = reset(browser, "a third one, unused").await;
        page.redirects_to(REQUEST);
        assert!(browser.follow(&page).await.says(EXPIRED));
        browser.get("/reset_password").await.redirects_to(REQUEST);
    }
    app.browser().get(&link).await.redirects_to(REQUEST);
    app.browser()
        .get(&bobs)
        .await
        .redirects_to("/reset_password");
    assert_eq!(app.count(LINKS).await, 1, "bob's");
    assert_password(&app, "alice", NEW, PASSWORD).await;
}

/// ASVS 2.3.4, 15.4.2
#[tokio::test]
async fn attack_07_of_parallel_uses_of_one_link_one_wins() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let version = app.user("alice").await.auth_version;
    let browser = with_link(&app, "alice").await;
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let (browser, password) = (browser.copy(), format!("{NEW} {number}"));
        requests.spawn(async move { (reset(&browser, &password).await, password) });
    }
    let mut won = Vec::new();
    for (page, password) in requests.join_all().await {
        match page.location() {
            Some("/login") => won.push(password),
            _ => page.redirects_to(REQUEST),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_password(&app, "alice", &won[0], PASSWORD).await;
    assert_eq!(app.user("alice").await.auth_version, version + 1);
}

#[tokio::test]
async fn attack_07_of_parallel_uses_of_two_links_one_wins() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let (first, second) = (
        with_link(&app, "alice").await,
        with_link(&app, "alice").await,
    );
    let signed_in = app.browser();
    signed_in.complete_login("alice").await;
    let (a, b, c) = tokio::join!(
        reset(&first, "the first of two links"),
        reset(&second, "the second of two links"),
        change(&signed_in, PASSWORD, NEW),
    );
    let places = [&a, &b, &c].map(|page| page.location().unwrap_or("none"));
    let won = places
        .iter()
        .filter(|place| ["/login", "/user/alice"].contains(place));
    assert_eq!(won.count(), 1, "{places:?}");
    assert_eq!(app.count(LINKS).await, 0);
}

#[tokio::test]
async fn a_login_that_was_checked_before_the_reset_does_not_survive_it() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let checked = app.authenticated("alice").await;
    let browser = with_link(&app, "alice").await;
    reset(&browser, NEW).await.redirects_to("/login");
    assert!(!app.begins_login(&checked).await);

    // The same with parallel requests.
    for (round, password) in [NEW, "the first new one", "the second new one"]
        .windows(2)
        .enumerate()
    {
        let browser = with_link(&app, "alice").await;
        let guests = [app.browser(), app.browser(), app.browser()];
        let (done, ..) = tokio::join!(
            reset(&browser, password[1]),
            guests[0].log_in("alice", password[0]),
            guests[1].log_in("alice", password[0]),
            guests[2].log_in("alice", password[0]),
        );
        done.redirects_to("/login");
        for guest in guests {
            assert!(!guest.is_logged_in().await, "round {round}");
        }
        assert_eq!(app.logins().await, 0);
    }
}
