//! Unknown paths, other methods, and the pages that only this machine may see.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HOST};
use twostep::services::assets;

use crate::access::{Role, app_with_users, concrete};
use crate::support::{TestApp, raw};

/// ASVS 3.4.2, 4.1.4, 13.4.4
#[tokio::test]
async fn other_methods_are_405_and_name_the_allowed_ones() {
    let app = app_with_users().await;
    let mut allowed = BTreeMap::<&str, BTreeSet<&str>>::new();
    for route in &app.routes {
        let methods: &[&str] = if route.method == Method::GET {
            &["GET", "HEAD"]
        } else {
            &["POST"]
        };
        allowed.entry(route.path).or_default().extend(methods);
    }
    for role in [Role::Guest, Role::Stale] {
        let browser = role.browser(&app).await;
        let before = app.dump().await;
        for (pattern, allowed) in &allowed {
            let path = concrete(pattern);
            for method in [
                "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO", "get",
            ] {
                if allowed.contains(method) {
                    continue;
                }
                let request = browser.request(method.parse().unwrap(), &path);
                let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                let page = browser.send(request).await;
                let what = format!("{role:?}: {method} {path}");
                assert_eq!(page.status, 405, "{what}: {:?}", page.location());
                let allow = page.header("allow").unwrap().split(',').map(str::trim);
                assert_eq!(allow.collect::<BTreeSet<_>>(), *allowed, "{what}");
                if method == "HEAD" {
                    assert_eq!(page.body, "");
                } else {
                    assert_eq!(
                        page.first("h1").as_deref(),
                        Some("Method not allowed"),
                        "{what}"
                    );
                }
            }
        }
        assert_eq!(app.dump().await, before);
    }
}

/// Paths close to those of routes, and paths that attackers try everywhere.
const NOWHERE: &str = "
    /home/ /home/x.css /home.css //home /./home /Home /login.php /login/ /user /user/
    /user/harry/ /user/harry/x /user/nobody /user/harry%2Fx /user/.. /user/%00
    /.git/HEAD /.env /twostep.db /Cargo.toml /favicon.ico /metrics /debug /verify_2fa/
    /dev /dev/ /dev/mailbox/ /dev/mailbox/nothing /dev/mailbox/nothing/html /dev/phone/ /healthz/ /static /static/ /static/css
    /static/../Cargo.toml /static/%2e%2e/ /static/%2e%2e/Cargo.toml
    /static/css/../../Cargo.toml /static/..%2fCargo.toml /static/%2fetc%2fpasswd
    /static//etc/passwd /static/%5c..%5cCargo.toml /%2e%2e/Cargo.toml
";

/// ASVS 5.3.2, 13.4.1, 13.4.3, 13.4.5, 13.4.7, 14.2.5
#[tokio::test]
async fn unknown_paths_are_not_found() {
    let app = app_with_users().await;
    let cookie = Role::Fresh.browser(&app).await.session_cookie().unwrap();
    let cookie = format!("Cookie: session={cookie}");
    let css = assets::url("css/app.css");
    let misspelled = css.replace(".css", ".CSS");
    let deeper = format!("{css}/x");
    let others = [misspelled, deeper];
    let paths = NOWHERE.split_whitespace();
    for path in paths.chain(others.iter().map(String::as_str)) {
        for headers in [&[][..], &[cookie.as_str()]] {
            let page = raw::send(app.address, &format!("GET {path}"), headers, b"").await;
            let users = path.starts_with("/user/") && headers.is_empty();
            if users && page.status == 303 {
                assert!(page.location().unwrap().starts_with("/login?next="));
                continue;
            }
            assert_eq!(page.status, 404, "{path} {headers:?}");
            assert_eq!(
                page.first("h1").as_deref(),
                Some("Page not found"),
                "{path}"
            );
            assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        }
    }
}

const DEMO_PAGES: [&str; 4] = [
    "/dev/phone",
    "/dev/mailbox",
    "/dev/mailbox/1",
    "/dev/mailbox/1/html",
];

/// ASVS 13.4.2, 15.2.3
#[tokio::test]
async fn only_this_machine_sees_the_demo_pages() {
    let app = TestApp::start().await;
    let behind_proxy = TestApp::behind_proxy().await;
    for app in [&app, &behind_proxy] {
        app.receive_mail("1", "harry@example.com");
        let browser = app.browser();
        for path in DEMO_PAGES {
            for method in [Method::GET, Method::HEAD] {
                let page = browser.send(browser.request(method, path)).await;
                assert_eq!(page.status, 200, "{path}");
            }
        }
    }
    let production = TestApp::production("http://127.0.0.1:9").await;
    for path in DEMO_PAGES {
        assert_eq!(production.browser().get(path).await.status, 404);
    }
}

#[tokio::test]
async fn the_demo_pages_are_not_found_behind_any_proxy() {
    let app = TestApp::start().await;
    let behind_proxy = TestApp::behind_proxy().await;
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", ""),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "localhost"),
        ("X-Forwarded-Anything", "x"),
        ("forwarded", "for=127.0.0.1"),
    ] {
        for app in [&app, &behind_proxy] {
            let browser = app.browser();
            for path in DEMO_PAGES {
                let request = browser.request(Method::GET, path);
                let page = browser.send(request.header(name, value)).await;
                assert_eq!(page.status, 404, "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_demo_phone_answers_only_under_the_names_of_this_machine() {
    let app = TestApp::start().await;
    let refused = "evil.example evil.example:3000 203.0.113.9 localhost.evil.example";
    let accepted = "localhost localhost:3000 127.0.0.1:3000 [::1]:3000";
    for (hosts, status) in [(refused, 404), (accepted, 200)] {
        for host in hosts.split(' ') {
            let browser = app.browser();
            let request = browser.request(Method::GET, "/dev/phone");
            let page = browser.send(request.header(HOST, host)).await;
            assert_eq!(page.status, status, "{host}");
        }
    }
}
