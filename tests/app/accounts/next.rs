//! `next`: the page after a login.

use twostep::dev::simulator::LANDLINE;

use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

/// Not local paths, or not useful ones. The unit tests of `LocalPath` have more.
const BAD: [&str; 12] = [
    "",
    "home",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/%2f%2fevil.example",
    "/a/..//evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/home\r\nX-Injected: y",
    "/home\r\n\r\n<script>alert(1)</script>",
    "/a/../logout",
];

const GOOD: [&str; 5] = [
    "/",
    "/user/alice",
    "/edit_profile?x=1&y=%2f%2fevil.example",
    "/user/al%69ce#top",
    "/reauth?next=%2Fenable_2fa",
];

/// Each `next`, and what the app keeps of it.
fn with_results() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let bad = BAD.map(|next| (next, None)).into_iter();
    bad.chain(GOOD.map(|next| (next, Some(next))))
}

/// Logs alice in from a form with `next`.
async fn log_in(browser: &Browser, password: &str, next: &str) -> Page {
    let fields = [
        ("username", "alice"),
        ("password", password),
        ("next", next),
    ];
    browser.post("/login", &fields).await
}

fn with_next(path: &str, next: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.append_pair("next", next).finish())
}

/// ASVS 1.1.1, 1.5.3, 3.7.2
#[tokio::test]
async fn attack_10_a_login_follows_next_only_to_a_local_path() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for (next, kept) in with_results() {
        let form = app.browser().get(&with_next("/login", next)).await;
        assert_eq!(form.status, 200, "{next:?}");
        assert_eq!(form.value_of("next").as_deref(), kept, "{next:?}");
        let page = log_in(&app.browser(), PASSWORD, next).await;
        page.redirects_to(kept.unwrap_or("/home"));
        assert_eq!(page.header("x-injected"), None);
        app.advance(120); // below the limits
        let page = log_in(&app.browser(), "x", next).await;
        assert_eq!(page.status, 422, "{next:?}");
        assert_eq!(page.value_of("next").as_deref(), kept, "{next:?}");
    }
}

/// ASVS 1.5.3, 3.7.2
#[tokio::test]
async fn attack_10_reauthentication_follows_next_only_to_a_local_path() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    for (next, kept) in with_results() {
        let form = browser.get(&with_next("/reauth", next)).await;
        assert_eq!(form.status, 200, "{next:?}");
        assert_eq!(form.value_of("next").as_deref(), kept, "{next:?}");
        app.advance(120); // below the limits
        let wrong = [("password", "x"), ("next", next)];
        let form = browser.post("/reauth", &wrong).await;
        assert_eq!(form.status, 422, "{next:?}");
        assert_eq!(form.value_of("next").as_deref(), kept, "{next:?}");
        let right = [("password", PASSWORD), ("next", next)];
        let page = browser.post("/reauth", &right).await;
        page.redirects_to(kept.unwrap_or("/home"));
    }
}

/// ASVS 3.7.2
#[tokio::test]
async fn attack_10_a_challenge_keeps_next_only_if_it_is_a_local_path() {
    let app = TestApp::start().await;
    let signed_in = app.with_two_factor("alice", LANDLINE).await;
    for (index, (next, kept)) in with_results().enumerate() {
        app.advance(31);
        let (browser, page) = if index % 2 == 0 {
            let browser = app.browser();
            let page = log_in(&browser, PASSWORD, next).await;
            (browser, page)
        } else {
            let fields = [("password", PASSWORD), ("next", next)];
            let page = signed_in.post("/reauth", &fields).await;
            (signed_in.copy(), page)
        };
        page.redirects_to("/verify_2fa");
        let form = browser.get("/verify_2fa?next=//evil.example").await;
        assert!(!form.body.contains("evil"), "{next:?}");
        // A `next` beside the code is ignored.
        let code = app.last_code();
        let fields = [("token", code.as_str()), ("next", "//evil.example")];
        let page = browser.post("/verify_2fa", &fields).await;
        page.redirects_to(kept.unwrap_or("/home"));
        if index % 2 == 1 {
            signed_in.set_session_cookie(&browser.session_cookie().unwrap());
        }
    }
    let stored = "SELECT COUNT(*) FROM challenges WHERE next LIKE '%evil.example' \
                  AND next NOT LIKE '%y=%'";
    assert_eq!(app.count(stored).await, 0);
}

#[tokio::test]
async fn attack_10_a_stored_next_is_validated_again() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.log_in_until_code("alice").await;
    app.execute("UPDATE challenges SET next = '//evil.example\r\n'")
        .await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 4.2.5
#[tokio::test]
async fn a_login_leads_back_to_the_page_that_required_it() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for (path, login) in [
        (
            "/user/alice?a=1&b=2",
            "/login?next=%2Fuser%2Falice%3Fa%3D1%26b%3D2",
        ),
        ("/edit_profile", "/login?next=%2Fedit_profile"),
        ("/user/%0d%0aX:y", "/login?next=%2Fuser%2F%250d%250aX%3Ay"),
        (
            "/?next=//evil.example",
            "/login?next=%2F%3Fnext%3D%2F%2Fevil.example",
        ),
        // Too long to keep.
        (&format!("/home?{}", "a".repeat(600)), "/login?next=%2Fhome"),
    ] {
        let browser = app.browser();
        let page = browser.get(path).await;
        page.redirects_to(login);
        let form = browser.follow(&page).await;
        assert!(form.says("Please log in to access this page."));
        let next = form.value_of("next").expect("next is gone");
        let page = log_in(&browser, PASSWORD, &next).await;
        page.redirects_to(if path.len() > 512 { "/home" } else { path });
    }
    // A form that was sent without a login leads back to its page.
    let page = app.browser().post("/edit_profile?x=1", &[]).await;
    page.redirects_to("/login?next=%2Fedit_profile");
}
