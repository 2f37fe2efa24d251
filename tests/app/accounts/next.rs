//! Where a log-in leads.

use twostep::dev::simulator::LANDLINE;

use crate::support::{PASSWORD, PHONE, TestApp};

/// Nothing of this is a path of this site, or nobody wants to go there.
const EVIL: [&str; 48] = [
    "home",
    "//evil.example",
    "//evil.example/%2f..",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    " /home",
    "/home ",
    "/%2fevil.example",
    "/%2F%2Fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%09/evil.example",
    "/%0d%0aSet-Cookie:x=y",
    "/%0a/evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/%2e//evil.example",
    "/%2e%2e//evil.example",
    "/home//evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:evil.example",
    "HTTPS://evil.example",
    "ftp://evil.example",
    "@evil.example",
    ".evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\u{e9}",
    "/\u{2028}",
    "/\u{ff0f}evil.example",
    "/home\0",
    "/home\r\nSet-Cookie: x=y",
    "/home\r\n\r\n<script>alert(1)</script>",
    "/home\nX-Injected: y",
    "/logout",
    "/logout?x=1",
    "/a/../logout",
];

const GOOD: [&str; 5] = [
    "/",
    "/user/alice",
    "/edit_profile?x=1&y=%2f%2fevil.example",
    "/user/al%69ce#top",
    "/reauth?next=%2Fenable_2fa",
];

fn with_next(path: &str, next: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.append_pair("next", next).finish())
}

/// ASVS 1.1.1, 1.5.3, 3.7.2
#[tokio::test]
async fn attack_10_log_in() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for next in EVIL {
        let form = app.browser().get(&with_next("/login", next)).await;
        assert_eq!(form.status, 200, "{next:?}");
        assert_eq!(form.value_of("next"), None, "{next:?}");
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let page = app.browser().post("/login", &fields).await;
        page.redirects_to("/home");
        assert_eq!(page.header("x-injected"), None);
        assert!(!page.body.contains("evil"));
    }
    for next in GOOD {
        let form = app.browser().get(&with_next("/login", next)).await;
        assert_eq!(form.value_of("next").as_deref(), Some(next));
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let page = app.browser().post("/login", &fields).await;
        page.redirects_to(next);
    }
}

#[tokio::test]
async fn attack_10_a_refused_log_in_does_not_keep_it() {
    let app = TestApp::start().await;
    for next in EVIL {
        app.advance(120); // so that no limit is met
        let fields = [("username", "alice"), ("password", "x"), ("next", next)];
        let page = app.browser().post("/login", &fields).await;
        assert_eq!(page.status, 422, "{next:?}");
        assert_eq!(page.value_of("next"), None, "{next:?}");
    }
}

/// ASVS 1.5.3, 3.7.2
#[tokio::test]
async fn attack_10_proving_again() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    for (next, kept) in EVIL
        .map(|next| (next, None))
        .into_iter()
        .chain(GOOD.map(|next| (next, Some(next))))
    {
        let form = browser.get(&with_next("/reauth", next)).await;
        assert_eq!(form.status, 200, "{next:?}");
        assert_eq!(form.value_of("next").as_deref(), kept, "{next:?}");
        app.advance(120); // so that no limit is met
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
async fn attack_10_through_a_verification() {
    let app = TestApp::start().await;
    let signed_in = app.with_two_factor("alice", LANDLINE).await;
    for (index, (next, kept)) in EVIL
        .map(|next| (next, None))
        .into_iter()
        .chain(GOOD.map(|next| (next, Some(next))))
        .enumerate()
    {
        app.advance(31);
        let expected = kept.unwrap_or("/home");
        // What is sent along with the code counts for nothing.
        let code = |code: String| {
            [
                ("token".to_owned(), code),
                ("next".to_owned(), "//evil.example".to_owned()),
            ]
        };
        let browser = if index % 2 == 0 {
            let browser = app.browser();
            let fields = [
                ("username", "alice"),
                ("password", PASSWORD),
                ("next", next),
            ];
            let page = browser.post("/login", &fields).await;
            page.redirects_to("/verify_2fa");
            browser
        } else {
            let fields = [("password", PASSWORD), ("next", next)];
            let page = signed_in.post("/reauth", &fields).await;
            page.redirects_to("/verify_2fa");
            signed_in.copy()
        };
        let form = browser.get("/verify_2fa?next=//evil.example").await;
        assert!(!form.body.contains("evil"), "{next:?}");
        let fields = code(app.last_code());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let page = browser.post("/verify_2fa", &fields).await;
        page.redirects_to(expected);
        if index % 2 == 1 {
            signed_in.set_session_cookie(&browser.session_cookie().unwrap());
        }
    }
    let stored = "SELECT COUNT(*) FROM challenges WHERE next LIKE '%evil.example' \
                  AND next NOT LIKE '%y=%'";
    assert_eq!(app.count(stored).await, 0);
}

#[tokio::test]
async fn attack_10_an_address_in_the_row_is_judged_again() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.half_logged_in("alice").await;
    app.execute("UPDATE challenges SET next = '//evil.example\r\n'")
        .await;
    browser.verify(&app.last_code()).await.redirects_to("/home");
}

/// ASVS 4.2.5
#[tokio::test]
async fn who_is_sent_to_the_log_in_comes_back() {
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
        // Too long to take along.
        (&format!("/home?{}", "a".repeat(600)), "/login?next=%2Fhome"),
    ] {
        let browser = app.browser();
        let page = browser.get(path).await;
        page.redirects_to(login);
        let form = browser.follow(&page).await;
        assert!(form.says("Please log in to access this page."));
        let next = form.value_of("next").expect("next is gone");
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("next", &*next),
        ];
        let page = browser.post("/login", &fields).await;
        page.redirects_to(if path.len() > 512 { "/home" } else { path });
    }
    // A form that was sent signed out: back to the page that holds it.
    let page = app.browser().post("/edit_profile?x=1", &[]).await;
    page.redirects_to("/login?next=%2Fedit_profile");
}
