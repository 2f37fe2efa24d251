//! Scripts in user input are shown as text.

use reqwest::Method;
use scraper::Node;

use crate::support::{PASSWORD, PHONE, Page, TestApp};

const SCRIPTS: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "\" onfocus=\"alert(1)\" autofocus=\"",
    "' onfocus='alert(1)",
    "</textarea></title></style><svg/onload=alert(1)>",
    "<!--<script>--><iframe src=javascript:alert(1)>",
    "{{7*7}}${7*7}<%= 7*7 %>{% raw %}",
    "&lt;script&gt;&#x3c;b&#62;&quot;",
];

/// The elements of a page with the names of their attributes.
fn skeleton(page: &Page) -> Vec<String> {
    page.html()
        .tree
        .nodes()
        .filter_map(|node| match node.value() {
            Node::Element(element) => {
                let mut names: Vec<&str> = element.attrs().map(|(name, _)| name).collect();
                names.sort_unstable();
                Some(format!("{} {}", element.name(), names.join(" ")))
            }
            Node::Comment(_) => Some("comment".to_owned()),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn assert_same_page(page: &Page, harmless: &Page, script: &str) {
    assert_eq!(page.status, harmless.status);
    assert_eq!(skeleton(page), skeleton(harmless), "{script}");
}

/// ASVS 1.2.1, 1.3.7, 3.2.2
#[tokio::test]
async fn attack_15_about_me_is_text() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let mut pages = Vec::new();
    for text in ["harmless"].into_iter().chain(SCRIPTS) {
        let fields = [("username", "alice"), ("about_me", text)];
        browser.post("/edit_profile", &fields).await;
        browser.get("/home").await; // shows the message
        let profile = browser.get("/user/alice").await;
        let form = browser.get("/edit_profile").await;
        assert_eq!(profile.first(".about-me").as_deref(), Some(text));
        assert_eq!(form.first("textarea").as_deref(), Some(text));
        pages.push((text, profile, form));
    }
    for (text, profile, form) in &pages {
        assert_same_page(profile, &pages[0].1, text);
        assert_same_page(form, &pages[0].2, text);
    }
}

/// ASVS 1.2.1, 1.2.2
#[tokio::test]
async fn attack_15_a_username_is_text_even_if_it_breaks_the_rules() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let paths = [
        "/home",
        "/edit_profile",
        "/logout",
        "/reauth",
        "/enable_2fa",
    ];
    let mut harmless = Vec::new();
    for path in paths {
        harmless.push(browser.get(path).await);
    }
    for name in SCRIPTS {
        sqlx::query("UPDATE users SET username = $1")
            .bind(name)
            .execute(&app.pool)
            .await
            .unwrap();
        for (path, harmless) in paths.into_iter().zip(&harmless) {
            let page = browser.get(path).await;
            assert_same_page(&page, harmless, name);
            let profile = page.attributes("nav a:nth-of-type(2)", "href");
            assert!(profile[0].starts_with("/user/"), "{profile:?}");
            assert!(!profile[0].contains(['<', '"', '\'', '&', '{']));
        }
        let home = browser.get("/home").await;
        let greeting = format!("Good to see you, {name}.");
        assert_eq!(home.first(".lead-in"), Some(greeting));
    }
}

/// ASVS 1.2.1
#[tokio::test]
async fn attack_15_invalid_input_is_shown_again_as_text() {
    let app = TestApp::start().await;
    let (guest, user) = (app.browser(), app.register_and_log_in("alice").await);
    let wrong = "x"; // fails every rule of a name, an address and a number
    for (browser, path, fields) in [
        (&guest, "/register", &["username", "email"][..]),
        (&guest, "/login", &["username"]),
        (&user, "/edit_profile", &["username"]),
        (&user, "/enable_2fa", &["verification_phone"]),
    ] {
        let typed = |text| fields.iter().map(|name| (*name, text)).collect::<Vec<_>>();
        let harmless = browser.post(path, &typed(wrong)).await;
        assert_eq!(harmless.status, 422, "{path}");
        for script in SCRIPTS {
            let page = browser.post(path, &typed(script)).await;
            assert_same_page(&page, &harmless, script);
            for field in fields {
                assert_eq!(page.value_of(field).as_deref(), Some(script), "{path}");
            }
        }
    }
}

/// ASVS 1.2.1
#[tokio::test]
async fn attack_15_paths_queries_and_headers_are_not_shown() {
    let app = TestApp::start().await;
    let (guest, user) = (app.browser(), app.register_and_log_in("alice").await);
    app.with_two_factor("bob", PHONE).await;
    let pending = app.log_in_until_code("bob").await;
    for script in SCRIPTS {
        let query: String = url::form_urlencoded::byte_serialize(script.as_bytes()).collect();
        let escaped = query.replace('+', "%20");
        for (browser, path, harmless) in [
            (&guest, format!("/{escaped}"), "/nothing"),
            (&guest, format!("/static/{escaped}"), "/static/nothing"),
            (&guest, format!("/login?next={query}"), "/login?next=x"),
            (&guest, format!("/login?next=/{query}"), "/login?next=/x"),
            (&user, format!("/user/{escaped}"), "/user/nobody"),
            (&user, format!("/reauth?next=/{query}"), "/reauth?next=/x"),
            (&pending, format!("/verify_2fa?x={query}"), "/verify_2fa"),
        ] {
            let harmless = browser.get(harmless).await;
            let page = browser.get(&path).await;
            if path.contains("next=/") && page.value_of("next").is_none() {
                continue; // not a local path, so there is no field
            }
            assert_same_page(&page, &harmless, &path);
            assert!(!page.body.contains("alert(1)</script>"), "{path}");
        }
        for (name, value) in [
            ("user-agent", script),
            ("referer", script),
            ("accept-language", script),
            ("x-request-id", script),
        ] {
            for path in ["/login", "/nothing", "/static/nothing"] {
                let request = guest.request(Method::GET, path).header(name, value);
                let page = guest.send(request).await;
                assert!(!page.body.contains(script), "{name}");
                let is_hidden = page.headers.values().all(|header| header != value);
                assert!(is_hidden, "{name} comes back");
                assert_same_page(&page, &guest.get(path).await, script);
            }
        }
        let wrong = [("token", script), ("password", PASSWORD)];
        let page = pending.post("/verify_2fa", &wrong).await;
        assert_eq!(page.status, 422);
        assert!(
            !page.body.contains("alert(1)"),
            "a code is never shown again"
        );
    }
}
