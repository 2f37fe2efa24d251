//! Every route that changes something declares a limit, and applies it.

use reqwest::Method;
use twostep::models::rate_limit::{Per, RateLimit};
use twostep::routes::{Limited, Route};

use crate::authenticator::{Authenticator, factor_ids};
use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

const ADDRESS: &str = "203.0.113.9";

const NEW: &str = "nine purple clouds over Turin";

/// Returns the routes whose actions take the declared limits.
fn limited(app: &TestApp) -> Vec<(&Route, &'static [RateLimit])> {
    let found = app.routes.iter().filter_map(|route| match route.limit {
        Some(Limited::ByRoute(limits)) => Some((route, limits)),
        _ => None,
    });
    found.collect()
}

/// ASVS 2.4.1
#[tokio::test]
async fn every_route_that_changes_something_declares_a_limit_or_why_it_has_none() {
    let app = TestApp::start().await;
    let mut changing = 0;
    for route in &app.routes {
        let path = route.path;
        match route.limit {
            None => assert_eq!(route.method, Method::GET, "{path} has no limit"),
            Some(Limited::ByRoute(limits)) => assert!(!limits.is_empty(), "{path}"),
            Some(Limited::ByModel(limit)) => assert!(!limit.name.is_empty(), "{path}"),
            Some(Limited::Never(reason)) => assert!(reason.len() > 10, "{path}: {reason}"),
        }
        changing += usize::from(route.limit.is_some());
    }
    assert!(changing >= 18, "{changing}");
}

/// A user who may send a route's form, and the form.
struct Actor {
    browser: Browser,
    /// The route's path, with the id of what it changes.
    path: String,
    form: Vec<(&'static str, String)>,
    /// The account that it changes, if any.
    account: Option<String>,
}

impl Actor {
    async fn new(app: &TestApp, path: &str, name: &str) -> Self {
        let text = |text: &str| text.to_owned();
        let (username, email) = (text(name), format!("{name}@example.com"));
        let new = [("password", text(NEW)), ("confirm_password", text(NEW))];
        if path == "/register" {
            let form = [&[("username", username), ("email", email)], &new[..]].concat();
            let browser = app.browser().at(ADDRESS);
            return Self {
                browser,
                path: text(path),
                form,
                account: None,
            };
        }
        let on = ["/disable_2fa", "/recovery_codes", "/factors/{id}/remove"];
        let needs_two_factor = on.contains(&path);
        let signed_in = match needs_two_factor {
            true => app.with_two_factor(name, PHONE).await,
            false => app.register_and_log_in(name).await,
        };
        let account = app.user(name).await.id.as_str().to_owned();
        let guest = app.browser().at(ADDRESS);
        let mut concrete = text(path);
        let (browser, form) = match path {
            "/authenticator" => {
                let page = signed_in.get(path).await;
                let code = Authenticator::scan(&page).code(app);
                let setup = page.value_of("setup").unwrap();
                (signed_in, vec![("token", code), ("setup", setup)])
            }
            "/factors/{id}/remove" => {
                let id = factor_ids(&signed_in).await.remove(0);
                concrete = path.replace("{id}", &id);
                (signed_in, Vec::new())
            }
            "/login" => {
                let form = vec![("username", username), ("password", text(PASSWORD))];
                (guest, form)
            }
            "/reset_password_request" => (guest, vec![("email", email)]),
            "/reset_password" => {
                guest.get(&app.reset_link(name).await).await;
                (guest, new.to_vec())
            }
            "/edit_profile" => {
                let form = vec![("username", username), ("about_me", text("Hello"))];
                (signed_in, form)
            }
            "/reauth" => (signed_in, vec![("password", text(PASSWORD))]),
            "/change_password" => {
                let current = [("current_password", text(PASSWORD))];
                (signed_in, [&current[..], &new[..]].concat())
            }
            "/disable_2fa" | "/recovery_codes" => (signed_in, Vec::new()),
            _ => panic!("how is {path} sent?"),
        };
        Self {
            browser: browser.at(ADDRESS),
            path: concrete,
            form,
            account: Some(account),
        }
    }

    async fn send(&self) -> Page {
        let form: Vec<(&str, &str)> = self.form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.browser.post(&self.path, &form).await
    }

    /// Returns the subject that a limit counts for this user.
    fn subject(&self, limit: &RateLimit) -> String {
        let account = self.account.as_deref().unwrap_or_default();
        match limit.per {
            Per::Client => ADDRESS.to_owned(),
            Per::AccountAndClient => format!("{account} {ADDRESS}"),
            Per::Account => account.to_owned(),
            Per::Subject | Per::Service => panic!("{} is no limit of a route", limit.name),
        }
    }
}

/// Each limit of each route, at N and at N + 1.
///
/// ASVS 2.3.2, 2.4.1
#[tokio::test]
async fn every_declared_limit_is_applied_and_a_refusal_changes_nothing() {
    let app = TestApp::behind_proxy().await;
    for (number, (route, limits)) in limited(&app).into_iter().enumerate() {
        for (which, limit) in limits.iter().enumerate() {
            let path = route.path;
            let capacity = usize::try_from(limit.windows[0].capacity).unwrap();

            let actor = Actor::new(&app, path, &format!("last{number}x{which}")).await;
            app.execute("DELETE FROM rate_limits").await;
            app.fill(limit, &actor.subject(limit), capacity - 1).await;
            let page = actor.send().await;
            let what = format!("{path}, {}: {}", limit.name, page.text());
            assert!(matches!(page.status, 200 | 303), "{what}");

            let actor = Actor::new(&app, path, &format!("late{number}x{which}")).await;
            app.execute("DELETE FROM rate_limits").await;
            app.fill(limit, &actor.subject(limit), capacity).await;
            let before = app.dump().await;
            let page = actor.send().await;
            let what = format!("{path}, {}: {}", limit.name, page.text());
            assert_eq!(page.status, 429, "{what}");
            let wait = limit.windows[0].seconds.to_string();
            assert_eq!(page.header("retry-after"), Some(wait.as_str()), "{what}");
            assert!(page.text().contains(limit.message), "{what}");
            assert_eq!(app.dump().await, before, "{what}");
        }
    }
}

/// ASVS 15.3.4
#[tokio::test]
async fn a_limit_by_client_counts_the_network_and_with_ten_times_the_capacity_the_site() {
    let app = TestApp::behind_proxy().await;
    for (number, (route, limits)) in limited(&app).into_iter().enumerate() {
        let by_client = limits.iter().enumerate();
        let by_client = by_client.filter(|(_, it)| it.per != Per::Account);
        for (which, limit) in by_client {
            let mut actor = Actor::new(&app, route.path, &format!("a{number}x{which}")).await;
            app.execute("DELETE FROM rate_limits").await;
            actor.browser = actor.browser.at("2001:db8:1:2::1");
            let page = actor.send().await;
            assert!(matches!(page.status, 200 | 303), "{}", route.path);
            for (place, factor) in [("2001:db8:1:2::/64", 1), ("2001:db8:1::/48", 10)] {
                let account = actor.account.as_deref().unwrap_or_default();
                let subject = match limit.per {
                    Per::Client => place.to_owned(),
                    _ => format!("{account} {place}"),
                };
                let counted = i64::from(!limit.name.starts_with("rejected"));
                let what = format!("{}, {place}", limit.name);
                assert_eq!(app.used(limit, &subject).await, counted, "{what}");
                let rows: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM rate_limits WHERE capacity = $1")
                        .bind(limit.windows[0].capacity * factor)
                        .fetch_one(&app.pool)
                        .await
                        .unwrap();
                let is_refunded = counted == 0;
                assert!(rows > 0 || is_refunded, "{what}");
            }
        }
    }
}
