//! Attack 11: requests that another site makes a browser send, and requests that only read,
//! change nothing.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use twostep::middleware::access::Access;

use crate::access::{Role, app_with_users, concrete};
use crate::login_paths::fields;
use crate::support::{Browser, Page};

/// Headers that browsers send with a request from another site.
const FOREIGN: [(&str, &str); 5] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-site"),
    ("origin", "https://evil.example"),
    ("origin", "http://127.0.0.1:1"),
    ("origin", "null"),
];

fn form(browser: &Browser, path: &str, body: String) -> RequestBuilder {
    browser
        .request(Method::POST, path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
}

#[track_caller]
fn assert_refused(page: &Page, what: &str) {
    assert_eq!(page.status, 403, "{what}");
    let heading = page.first("h1");
    assert_eq!(heading.as_deref(), Some("Request refused"), "{what}");
    assert!(page.set_cookies().is_empty(), "{what}");
    assert_eq!(page.header("clear-site-data"), None, "{what}");
}

/// ASVS 3.5.1
#[tokio::test]
async fn attack_11_another_site_can_send_no_form_of_ours() {
    let app = app_with_users().await;
    let posts = || app.routes.iter().filter(|it| it.method == Method::POST);
    for role in Role::ALL {
        let browser = role.browser(&app).await;
        let (before, sent, code) = (app.dump().await, app.messages_sent(), app.last_code());
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields("harry", "new@example.com", &code))
            .finish();
        let paths = posts().map(|route| concrete(route.path));
        for path in paths.chain(["/nothing".to_owned(), "/home".to_owned()]) {
            for (name, value) in FOREIGN {
                let request = form(&browser, &path, body.clone()).header(name, value);
                let what = format!("{role:?}: {path} {name}: {value}");
                assert_refused(&browser.send(request).await, &what);
            }
            assert_eq!(app.dump().await, before, "{role:?}: {path}");
        }
        assert_eq!(app.messages_sent(), sent, "{role:?}");
    }
    for route in posts() {
        let guest = app.browser();
        let own = form(&guest, &concrete(route.path), String::new());
        let own = own.header("origin", format!("http://{}", app.address));
        let page = guest.send(own).await;
        assert_ne!(page.status, 403, "{}: our own page", route.path);
    }
}

/// ASVS 3.5.3
#[tokio::test]
async fn attack_11_get_and_head_change_nothing_and_set_no_session_cookie() {
    let app = app_with_users().await;
    for role in Role::ALL {
        let browser = role.browser(&app).await;
        let (before, sent) = (app.dump().await, app.messages_sent());
        for route in &app.routes {
            let path = concrete(route.path);
            let query = format!("{path}?token=1&username=x&next=%2Fhome");
            for address in [path.clone(), query] {
                let what = format!("{role:?}: {address}");
                let head = browser.head(&address).await;
                assert_eq!(head.set_cookie(), None, "{what}");
                assert_eq!(app.dump().await, before, "HEAD {what}");
                let mut page = browser.get(&address).await;
                assert_eq!(page.set_cookie(), None, "{what}");
                // The session may keep a flash message, which the next page removes.
                let may_leave_message = route.access == Access::Pending
                    || ["/disable_2fa", "/recovery_codes"].contains(&path.as_str())
                    || path.starts_with("/reset_password");
                while may_leave_message && page.status == 303 {
                    page = browser.follow(&page).await;
                }
                assert_eq!(app.dump().await, before, "GET {what}");
            }
        }
        for path in ["/nowhere", "/logout?", "/sessions/x/revoke"] {
            browser.get(path).await;
            browser.head(path).await;
        }
        assert_eq!(app.dump().await, before, "{role:?}");
        assert_eq!(app.messages_sent(), sent, "{role:?}");
    }
}
