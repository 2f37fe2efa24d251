//! Access: every route of the app is called in every role.

use reqwest::Method;
use twostep::dev::simulator::LANDLINE;
use twostep::middleware::access::Access;
use twostep::routes::Route;
use twostep::services::assets;

use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

/// The paths that other programs rely on, with their methods and access.
const CONTRACT: &str = "
    / GET User
    /home GET User
    /register GET,POST Guest
    /login GET,POST Guest
    /logout GET,POST Any
    /user/{username} GET User
    /edit_profile GET,POST User
    /enable_2fa GET,POST Fresh
    /verify_2fa GET,POST Pending
    /verify_2fa/resend POST Pending
    /verify_2fa/call POST Pending
    /verify_2fa/recovery GET,POST Pending
    /verify_2fa/cancel POST Pending
    /disable_2fa GET,POST Fresh
    /recovery_codes GET,POST Fresh
    /reauth GET,POST User
    /change_password GET,POST Fresh
    /reset_password_request GET,POST Guest
    /reset_password/{token} GET Any
    /reset_password GET,POST Any
    /security GET User
    /sessions/{id}/revoke POST Fresh
    /sessions/revoke_others POST Fresh
    /not_me/{token} GET Any
    /not_me GET,POST Any
    /.well-known/change-password GET Any
    /dev/phone GET Dev
    /dev/mailbox GET Dev
    /dev/mailbox/{id} GET Dev
    /dev/mailbox/{id}/html GET Dev
    /healthz GET Any
    /readyz GET Any
    /static/{*path} GET Any
";

/// ASVS 15.2.3
#[tokio::test]
async fn the_routes_of_the_contract_have_their_access_and_only_development_has_demo_pages() {
    let app = TestApp::start().await;
    let access_of = |method: &str, path: &str| {
        let mut routes = app.routes.iter();
        let route = routes.find(|it| it.method == method && it.path == path);
        route.map(|route| format!("{:?}", route.access))
    };
    for row in CONTRACT.lines().filter(|row| !row.trim().is_empty()) {
        let mut cells = row.split_whitespace();
        let mut next = || cells.next().unwrap();
        let (path, methods, access) = (next(), next(), next());
        for method in methods.split(',') {
            let found = access_of(method, path);
            assert_eq!(found.as_deref(), Some(access), "{method} {path}");
        }
    }
    let production = TestApp::production("http://127.0.0.1:9").await;
    let is_dev = |route: &&Route| route.access == Access::Dev;
    assert!(
        app.routes
            .iter()
            .filter(is_dev)
            .all(|route| route.path.starts_with("/dev/"))
    );
    let expected: Vec<_> = app.routes.iter().filter(|route| !is_dev(route)).collect();
    assert_eq!(production.routes.iter().collect::<Vec<_>>(), expected);
}

/// A visitor. Harry has no two-factor authentication, alice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Guest,
    PendingLogin,
    Fresh,
    Stale,
    Enabling,
}

impl Role {
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::PendingLogin,
        Self::Fresh,
        Self::Stale,
        Self::Enabling,
    ];

    pub async fn browser(self, app: &TestApp) -> Browser {
        if self == Self::PendingLogin {
            return app.log_in_until_code("alice").await;
        }
        let browser = app.browser();
        if self != Self::Guest {
            browser.complete_login("harry").await;
        }
        if self == Self::Stale {
            app.advance(11 * 60);
        }
        if self == Self::Enabling {
            browser.enable(LANDLINE).await.redirects_to("/verify_2fa");
        }
        browser
    }

    /// The path to which a route redirects this role; none if it admits the role.
    fn refusal(self, route: &Route) -> Option<String> {
        use Role::{Enabling, Fresh, Guest, PendingLogin, Stale};
        match (route.access, self) {
            (Access::Any | Access::Dev, _)
            | (Access::Guest, Guest | PendingLogin)
            | (Access::User, Fresh | Stale | Enabling)
            | (Access::Fresh, Fresh | Enabling)
            | (Access::Pending, PendingLogin | Enabling) => None,
            (Access::Guest, Fresh | Stale | Enabling) | (Access::Pending, Fresh | Stale) => {
                Some("/home".to_owned())
            }
            (Access::Pending, Guest) => Some(with_next("/login", "/home")),
            (Access::User | Access::Fresh, Guest | PendingLogin) => {
                Some(with_next("/login", &page_of(route)))
            }
            (Access::Fresh, Stale) => Some(with_next("/reauth", &page_of(route))),
        }
    }
}

/// The page with the form of a route.
fn page_of(route: &Route) -> String {
    concrete(route.form_on.unwrap_or(route.path))
}

fn with_next(page: &str, next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{page}?next={next}")
}

/// A path that matches a route.
pub fn concrete(route: &str) -> String {
    let path = route
        .replace("{username}", "harry")
        .replace("/static/{*path}", assets::url("css/app.css"));
    let parameter = regex::Regex::new(r"\{\w+\}").unwrap();
    parameter.replace_all(&path, "1").into_owned()
}

async fn call(browser: &Browser, route: &Route) -> Page {
    let path = concrete(route.path);
    match route.method {
        Method::POST => browser.post(&path, &[]).await,
        _ => browser.get(&path).await,
    }
}

pub async fn app_with_users() -> TestApp {
    let app = TestApp::start().await;
    app.register("harry").await;
    let alice = app.with_two_factor("alice", PHONE).await;
    alice.post("/logout", &[]).await.redirects_to("/login");
    app.receive_mail("1", "harry@example.com");
    app
}

/// ASVS 2.3.1, 8.2.1, 8.3.1
#[tokio::test]
async fn every_route_admits_its_visitors_and_redirects_others_to_where_they_can_get_in() {
    let app = app_with_users().await;
    for route in &app.routes {
        for role in Role::ALL {
            let browser = role.browser(&app).await;
            let (before, sent) = (rows(&app).await, app.messages_sent());
            let answer = call(&browser, route).await;
            let (path, status) = (route.path, answer.status);
            let what = format!("{role:?}: {} {path}: {status}", route.method);
            let Some(elsewhere) = role.refusal(route) else {
                let location = answer.location().unwrap_or_default();
                let has_no_row = status == 404
                    && (path.contains("{id}")
                        || ["/verify_2fa/use", "/dev/phone/authenticator"].contains(&path));
                assert!(
                    matches!(status, 200 | 303 | 422 | 429) || has_no_row,
                    "{what}"
                );
                let is_refused = location == "/home" || location.contains("?next=");
                assert!(!is_refused, "{what} {location}");
                continue;
            };
            answer.redirects_to(&elsewhere);
            assert!(answer.body.is_empty(), "{what}");
            let page = browser.follow(&answer).await;
            assert_eq!(page.status, 200, "{what}");
            if elsewhere.starts_with("/login") {
                assert!(page.says("Please log in to access this page."), "{what}");
            }
            if route.access == Access::Pending && elsewhere == "/home" {
                assert!(page.says("There is no code to enter."), "{what}");
            }
            assert_eq!(rows(&app).await, before, "{what}");
            assert_eq!(app.messages_sent(), sent, "{what}");
        }
    }
}

/// All rows but those of emails about earlier logins, which the worker may send at any time.
async fn rows(app: &TestApp) -> Vec<String> {
    let dump = app.dump().await;
    let is_of_mail = |line: &&str| line.starts_with("outbox|") || line.starts_with("mail_tokens|");
    let rows = dump.lines().filter(|line| !is_of_mail(line));
    rows.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_reauthentication_leads_back_to_the_page_that_asked_for_it() {
    let app = app_with_users().await;
    for route in app.routes.iter().filter(|it| it.access == Access::Fresh) {
        let browser = Role::Stale.browser(&app).await;
        let refused = call(&browser, route).await;
        let form = browser.follow(&refused).await;
        let next = form.value_of("next").unwrap();
        assert_eq!(next, page_of(route));
        let fields = [("password", PASSWORD), ("next", &next)];
        browser.post("/reauth", &fields).await.redirects_to(&next);
        let page = browser.get(&next).await;
        assert!(!page.location().unwrap_or_default().contains("next="));
    }
}

#[tokio::test]
async fn every_form_of_a_user_has_a_page_to_return_to() {
    let app = TestApp::start().await;
    for route in &app.routes {
        if route.method == Method::POST && matches!(route.access, Access::User | Access::Fresh) {
            let page = route.form_on.unwrap_or(route.path);
            let is_page = |it: &Route| it.method == Method::GET && it.path == page;
            assert!(app.routes.iter().any(is_page), "{}", route.path);
        }
    }
}

/// ASVS 14.2.5, 14.3.1
#[tokio::test]
async fn attack_17_after_logout_the_back_button_shows_nothing() {
    let app = app_with_users().await;
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
    // A cache that goes by file extensions finds nothing to store.
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
    let cleared = answer.header("clear-site-data").unwrap();
    assert!(cleared.contains("\"cache\"") && cleared.contains("\"storage\""));
    assert_eq!(browser.session_cookie(), None);
    for path in pages.iter().filter(|path| **path != "/logout") {
        for browser in [&browser, &stolen] {
            let expected = with_next("/login", path);
            browser.get(path).await.redirects_to(&expected);
        }
    }
}
