//! Who may call what: one list, held against the router's own in both
//! directions, and every row of it tried in every role.

use reqwest::Method;
use twostep::dev::simulator::LANDLINE;
use twostep::middleware::access::Access;
use twostep::routes::Route;
use twostep::services::assets;

use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// The product's table of pages.
pub const PAGES: &[(Method, &str, Access)] = &[
    (GET, "/", Access::User),
    (GET, "/home", Access::User),
    (GET, "/register", Access::Guest),
    (POST, "/register", Access::Guest),
    (GET, "/login", Access::Guest),
    (POST, "/login", Access::Guest),
    (GET, "/reset_password_request", Access::Guest),
    (POST, "/reset_password_request", Access::Guest),
    (GET, "/reset_password/{token}", Access::Any),
    (GET, "/reset_password", Access::Any),
    (POST, "/reset_password", Access::Any),
    (GET, "/.well-known/change-password", Access::Any),
    (GET, "/change_password", Access::Fresh),
    (POST, "/change_password", Access::Fresh),
    (GET, "/logout", Access::Any),
    (POST, "/logout", Access::Any),
    (GET, "/not_me/{token}", Access::Any),
    (GET, "/not_me", Access::Any),
    (POST, "/not_me", Access::Any),
    (GET, "/user/{username}", Access::User),
    (GET, "/edit_profile", Access::User),
    (POST, "/edit_profile", Access::User),
    (GET, "/enable_2fa", Access::Fresh),
    (POST, "/enable_2fa", Access::Fresh),
    (GET, "/verify_2fa", Access::Pending),
    (POST, "/verify_2fa", Access::Pending),
    (POST, "/verify_2fa/resend", Access::Pending),
    (POST, "/verify_2fa/call", Access::Pending),
    (POST, "/verify_2fa/cancel", Access::Pending),
    (GET, "/disable_2fa", Access::Fresh),
    (POST, "/disable_2fa", Access::Fresh),
    (GET, "/security", Access::User),
    (POST, "/sessions/{id}/revoke", Access::Fresh),
    (POST, "/sessions/revoke_others", Access::Fresh),
    (GET, "/recovery_codes", Access::Fresh),
    (POST, "/recovery_codes", Access::Fresh),
    (GET, "/verify_2fa/recovery", Access::Pending),
    (POST, "/verify_2fa/recovery", Access::Pending),
    (GET, "/reauth", Access::User),
    (POST, "/reauth", Access::User),
    (GET, "/dev/phone", Access::Dev),
    (GET, "/dev/mailbox", Access::Dev),
    (GET, "/dev/mailbox/{id}", Access::Dev),
    (GET, "/dev/mailbox/{id}/html", Access::Dev),
    (GET, "/healthz", Access::Any),
    (GET, "/readyz", Access::Any),
    (GET, "/static/{*path}", Access::Any),
];

/// ASVS 15.2.3
#[tokio::test]
async fn the_router_has_these_pages_and_no_others() {
    let app = TestApp::start().await;
    let row = |method: &Method, path: &str, access: Access| format!("{method} {path} {access:?}");
    let mut ours: Vec<String> = PAGES.iter().map(|(m, p, a)| row(m, p, *a)).collect();
    let routes = app.routes.iter();
    let mut theirs: Vec<String> = routes.map(|r| row(&r.method, r.path, r.access)).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);

    let production = TestApp::production("http://127.0.0.1:9").await;
    let paths = production.routes.iter().map(|route| route.path);
    assert!(paths.clone().all(|path| !path.starts_with("/dev")));
    let dev = PAGES.iter().filter(|(_, path, _)| path.starts_with("/dev"));
    assert_eq!(paths.count(), PAGES.len() - dev.count());
}

/// Somebody at a browser. Harry has no two-factor authentication, alice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Guest,
    HalfLoggedIn,
    Fresh,
    Stale,
    Enabling,
}

impl Role {
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::HalfLoggedIn,
        Self::Fresh,
        Self::Stale,
        Self::Enabling,
    ];

    pub async fn browser(self, app: &TestApp) -> Browser {
        if self == Self::HalfLoggedIn {
            return app.half_logged_in("alice").await;
        }
        let browser = app.browser();
        if self != Self::Guest {
            browser
                .log_in("harry", PASSWORD)
                .await
                .redirects_to("/home");
        }
        if self == Self::Stale {
            app.advance(11 * 60);
        }
        if self == Self::Enabling {
            browser.enable(LANDLINE).await.redirects_to("/verify_2fa");
        }
        browser
    }

    /// Where a page sends this role, or none where it lets it in.
    fn refusal(self, access: Access, path: &str) -> Option<String> {
        use Role::{Enabling, Fresh, Guest, HalfLoggedIn, Stale};
        match (access, self) {
            (Access::Any | Access::Dev, _)
            | (Access::Guest, Guest | HalfLoggedIn)
            | (Access::User, Fresh | Stale | Enabling)
            | (Access::Fresh, Fresh | Enabling)
            | (Access::Pending, HalfLoggedIn | Enabling) => None,
            (Access::Guest, Fresh | Stale | Enabling) | (Access::Pending, Fresh | Stale) => {
                Some("/home".to_owned())
            }
            (Access::Pending, Guest) => Some(with_next("/login", "/home")),
            (Access::User | Access::Fresh, Guest | HalfLoggedIn) => {
                Some(with_next("/login", page_of(path)))
            }
            (Access::Fresh, Stale) => Some(with_next("/reauth", page_of(path))),
        }
    }
}

/// The page to come back to: that with the form, where a path has none itself.
fn page_of(path: &str) -> &str {
    match path.split('/').nth(1) {
        Some("sessions") => "/security",
        _ => path,
    }
}

fn with_next(page: &str, next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{page}?next={next}")
}

/// A path that the router's pattern stands for.
pub fn concrete(pattern: &str) -> String {
    pattern
        .replace("{username}", "harry")
        .replace("/mailbox/{id}", "/mailbox/1")
        .replace("/sessions/{id}", "/sessions/1")
        .replace("{token}", "x")
        .replace("/static/{*path}", &assets::url("css/app.css"))
}

async fn ask(browser: &Browser, method: &Method, path: &str) -> Page {
    match *method {
        Method::POST => browser.post(path, &[]).await,
        _ => browser.get(path).await,
    }
}

pub async fn app_with_people() -> TestApp {
    let app = TestApp::start().await;
    app.register("harry").await;
    let alice = app.with_two_factor("alice", PHONE).await;
    alice.post("/logout", &[]).await.redirects_to("/login");
    app.receive_mail("1", "harry@example.com");
    app
}

/// ASVS 2.3.1, 8.2.1, 8.3.1
#[tokio::test]
async fn every_page_lets_in_whom_it_should_and_sends_the_others_where_they_can_get_in() {
    let app = app_with_people().await;
    for (method, pattern, access) in PAGES {
        let path = concrete(pattern);
        for role in Role::ALL {
            let browser = role.browser(&app).await;
            let (before, sent) = (app.dump().await, app.messages_sent());
            let answer = ask(&browser, method, &path).await;
            let what = format!("{role:?}: {method} {path}: {}", answer.status);
            let Some(elsewhere) = role.refusal(*access, &path) else {
                let location = answer.location().unwrap_or_default();
                let is_let_in = matches!(answer.status, 200 | 303 | 422 | 429);
                let is_of_nobody = answer.status == 404 && path == "/sessions/1/revoke";
                assert!(is_let_in || is_of_nobody, "{what}");
                let sent_away = location == "/home" || location.contains("?next=");
                assert!(!sent_away, "{what} {location}");
                continue;
            };
            answer.redirects_to(&elsewhere);
            assert!(answer.body.is_empty(), "{what}");
            let page = browser.follow(&answer).await;
            assert_eq!(page.status, 200, "{what}");
            if elsewhere.starts_with("/login") {
                assert!(page.says("Please log in to access this page."), "{what}");
            }
            if *access == Access::Pending && elsewhere == "/home" {
                assert!(page.says("There is no code to enter."), "{what}");
            }
            assert_eq!(app.dump().await, before, "{what}");
            assert_eq!(app.messages_sent(), sent, "{what}");
        }
    }
}

#[tokio::test]
async fn who_proves_it_again_lands_where_they_wanted_to_go() {
    let app = app_with_people().await;
    for (method, path, _) in PAGES.iter().filter(|page| page.2 == Access::Fresh) {
        let browser = Role::Stale.browser(&app).await;
        let refused = ask(&browser, method, path).await;
        let form = browser.follow(&refused).await;
        let next = form.value_of("next").unwrap();
        assert_eq!(next, page_of(path));
        let fields = [("password", PASSWORD), ("next", &next)];
        browser.post("/reauth", &fields).await.redirects_to(&next);
        let page = browser.get(&next).await;
        assert!(!page.location().unwrap_or_default().contains("next="));
    }
}

#[tokio::test]
async fn every_form_of_a_user_is_on_a_page_that_can_be_come_back_to() {
    let app = TestApp::start().await;
    let mut elsewhere = 0;
    for route in &app.routes {
        if route.method == POST && matches!(route.access, Access::User | Access::Fresh) {
            let page = route.form_on.unwrap_or(route.path);
            let is_page = |it: &&Route| it.method == GET && it.path == page;
            assert!(app.routes.iter().any(|it| is_page(&it)), "{}", route.path);
            elsewhere += usize::from(route.form_on.is_some());
        }
    }
    assert!(elsewhere >= 2);
}

#[tokio::test]
async fn who_logs_in_lands_where_they_wanted_to_go() {
    let app = app_with_people().await;
    let wanted = "/user/alice?from=a%20mail&x=1";
    let harry = app.browser();
    let refused = harry.get(wanted).await;
    refused.redirects_to(&with_next("/login", wanted));
    let next = harry.follow(&refused).await.value_of("next").unwrap();
    let fields = [
        ("username", "harry"),
        ("password", PASSWORD),
        ("next", &next),
    ];
    harry.post("/login", &fields).await.redirects_to(wanted);
    // The query of a form's address is the form's business, not the page's.
    app.browser()
        .post("/edit_profile?x=1", &[])
        .await
        .redirects_to("/login?next=%2Fedit_profile");
}

/// ASVS 14.2.5, 14.3.1
#[tokio::test]
async fn attack_17_after_logout_the_back_button_shows_nothing() {
    let app = app_with_people().await;
    let browser = Role::Fresh.browser(&app).await;
    let stolen = browser.copy();
    let pages = [
        "/",
        "/home",
        "/user/harry",
        "/edit_profile",
        "/enable_2fa",
        "/reauth",
        "/logout",
    ];
    for path in pages {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    }
    // A cache that goes by the ending of a name finds nothing to keep.
    for path in [
        "/home/x.css",
        "/home;x.css",
        "/home%2fx.css",
        "/user/harry/x.js",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    let answer = browser.post("/logout", &[]).await;
    answer.redirects_to("/login");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let forgotten = answer.header("clear-site-data").unwrap();
    assert!(forgotten.contains("\"cache\"") && forgotten.contains("\"storage\""));
    assert_eq!(browser.session_cookie(), None);
    for path in pages.iter().filter(|path| **path != "/logout") {
        for browser in [&browser, &stolen] {
            let expected = with_next("/login", path);
            browser.get(path).await.redirects_to(&expected);
        }
    }
}
