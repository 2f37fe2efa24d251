//! Attack 11: what another site makes a browser send changes nothing, and what
//! only reads changes nothing either.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use twostep::middleware::access::Access;
use twostep::models::outbox::NoticeKind;

use crate::access::{PAGES, Role, app_with_people, concrete};
use crate::security::end_buttons;
use crate::support::{Browser, PASSWORD, PHONE, TestApp};

/// What a form does, when its own page sends it.
struct Form {
    path: &'static str,
    role: Role,
    fields: &'static str,
    leads_to: &'static str,
}

const fn form(
    path: &'static str,
    role: Role,
    fields: &'static str,
    leads_to: &'static str,
) -> Form {
    Form {
        path,
        role,
        fields,
        leads_to,
    }
}

/// Every form, in every role in which it does something; `CODE` and `PASSWORD`
/// are the right ones, and no place to go is a page.
const FORMS: [Form; 32] = [
    form(
        "/register",
        Role::Guest,
        "username=ron&email=ron@example.com&password=PASSWORD&confirm_password=PASSWORD",
        "/login",
    ),
    form(
        "/register",
        Role::HalfLoggedIn,
        "username=ron&email=ron@example.com&password=PASSWORD&confirm_password=PASSWORD",
        "/login",
    ),
    form(
        "/login",
        Role::Guest,
        "username=harry&password=PASSWORD",
        "/home",
    ),
    form(
        "/login",
        Role::Guest,
        "username=alice&password=PASSWORD",
        "/verify_2fa",
    ),
    form(
        "/login",
        Role::HalfLoggedIn,
        "username=harry&password=PASSWORD",
        "/home",
    ),
    form("/logout", Role::Fresh, "", "/login"),
    form("/logout", Role::HalfLoggedIn, "", "/login"),
    form(
        "/edit_profile",
        Role::Fresh,
        "username=hary&about_me=x",
        "/user/hary",
    ),
    form(
        "/edit_profile",
        Role::Stale,
        "username=hary&about_me=x",
        "/user/hary",
    ),
    form("/reauth", Role::Stale, "password=PASSWORD", "/home"),
    form(
        "/enable_2fa",
        Role::Fresh,
        "verification_phone=%2B447400123456",
        "/verify_2fa",
    ),
    form(
        "/enable_2fa",
        Role::Enabling,
        "verification_phone=%2B447400123456",
        "/verify_2fa",
    ),
    form("/verify_2fa", Role::HalfLoggedIn, "token=CODE", "/home"),
    form("/verify_2fa", Role::Enabling, "token=CODE", ""),
    form("/verify_2fa/resend", Role::HalfLoggedIn, "", "/verify_2fa"),
    form("/verify_2fa/resend", Role::Enabling, "", "/verify_2fa"),
    form("/verify_2fa/call", Role::HalfLoggedIn, "", "/verify_2fa"),
    form("/verify_2fa/call", Role::Enabling, "", "/verify_2fa"),
    form("/verify_2fa/cancel", Role::HalfLoggedIn, "", "/login"),
    form("/verify_2fa/cancel", Role::Enabling, "", "/user/harry"),
    form("/disable_2fa", Role::Fresh, "", "/user/harry"),
    form("/recovery_codes", Role::Fresh, "", ""),
    form(
        "/verify_2fa/recovery",
        Role::HalfLoggedIn,
        "recovery_code=RECOVERY",
        "/home",
    ),
    form(
        "/change_password",
        Role::Fresh,
        "current_password=PASSWORD&password=a+new+slow+tram&confirm_password=a+new+slow+tram",
        "/user/harry",
    ),
    form(
        "/reset_password_request",
        Role::Guest,
        "email=harry@example.com",
        "/login",
    ),
    form(
        "/reset_password_request",
        Role::HalfLoggedIn,
        "email=harry@example.com",
        "/login",
    ),
    form(
        "/reset_password",
        Role::Guest,
        "password=a+new+slow+tram&confirm_password=a+new+slow+tram",
        "/login",
    ),
    form(
        "/reset_password",
        Role::HalfLoggedIn,
        "password=a+new+slow+tram&confirm_password=a+new+slow+tram",
        "/login",
    ),
    form(
        "/reset_password",
        Role::Fresh,
        "password=a+new+slow+tram&confirm_password=a+new+slow+tram",
        "/login",
    ),
    form("/not_me", Role::Guest, "link=LINK", ""),
    form("/sessions/{id}/revoke", Role::Fresh, "", "/security"),
    form("/sessions/revoke_others", Role::Fresh, "", "/security"),
];

fn request(browser: &Browser, path: &str, fields: &str) -> RequestBuilder {
    browser
        .request(Method::POST, path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(fields.to_owned())
}

/// ASVS 3.5.1
#[tokio::test]
async fn attack_11_another_site_can_send_no_form_of_ours() {
    for form in FORMS {
        let app = app_with_people().await;
        let browser = form.role.browser(&app).await;
        if ["/disable_2fa", "/recovery_codes"].contains(&form.path) {
            app.enable(&browser, PHONE).await;
        }
        if form.path == "/reset_password" {
            browser.get(&app.reset_link("harry").await).await;
        }
        if form.path == "/not_me" {
            let link = app.not_me("harry", NoticeKind::PasswordChanged, None).await;
            browser.get(&link).await.redirects_to("/not_me");
        }
        if form.path.starts_with("/sessions/") {
            app.browser().log_in("harry", PASSWORD).await;
        }
        let path = match form.path {
            "/sessions/{id}/revoke" => end_buttons(&browser.get("/security").await).remove(0),
            path => path.to_owned(),
        };
        let link = browser.get("/not_me").await.value_of("link");
        app.advance(31);
        let code = app.last_code();
        let recovery_code = app.recovery_codes("alice").await.remove(0);
        let fields = form
            .fields
            .replace("RECOVERY", &recovery_code)
            .replace("CODE", &code)
            .replace("LINK", &link.unwrap_or_default())
            .replace("PASSWORD", PASSWORD);
        let (before, sent) = (app.dump().await, app.messages_sent());
        let what = format!("{} {:?}", form.path, form.role);
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:1"),
            ("origin", "null"),
        ] {
            let foreign = request(&browser, &path, &fields).header(name, value);
            let page = browser.send(foreign).await;
            assert_eq!(page.status, 403, "{what} {name}: {value}");
            assert_eq!(
                page.first("h1").as_deref(),
                Some("Request refused"),
                "{what}"
            );
            assert_eq!(page.set_cookie(), None, "{what}");
            assert_eq!(page.header("clear-site-data"), None, "{what}");
            assert_eq!(app.dump().await, before, "{what} {name}: {value}");
            assert_eq!(app.messages_sent(), sent, "{what} {name}: {value}");
        }
        // The very same request from its own page does what it says.
        let origin = format!("http://{}", app.address);
        let own = request(&browser, &path, &fields).header("origin", origin);
        let page = browser.send(own).await;
        assert_eq!(
            page.location().unwrap_or_default(),
            form.leads_to,
            "{what}: {}",
            page.text()
        );
        let changed = app.dump().await != before || app.messages_sent() != sent;
        assert!(changed, "{what}: {}", page.status);
    }
}

/// ASVS 3.5.1
#[tokio::test]
async fn attack_11_another_site_is_refused_where_there_is_no_form_too() {
    let app = TestApp::start().await;
    let browser = app.signed_in("alice").await;
    for path in ["/nothing", "/home", "/verify_2fa/nothing"] {
        let foreign = request(&browser, path, "").header("sec-fetch-site", "cross-site");
        let page = browser.send(foreign).await;
        assert_eq!(page.status, 403, "{path}");
        assert_eq!(
            page.first("h1").as_deref(),
            Some("Request refused"),
            "{path}"
        );
    }
}

/// ASVS 3.5.1
#[tokio::test]
async fn attack_11_every_form_is_tried() {
    let app = TestApp::start().await;
    for route in app
        .routes
        .iter()
        .filter(|route| route.method == Method::POST)
    {
        assert!(
            FORMS.iter().any(|form| form.path == route.path),
            "{}",
            route.path
        );
    }
}

/// ASVS 3.5.3
#[tokio::test]
async fn attack_11_get_and_head_change_nothing() {
    let app = app_with_people().await;
    for role in Role::ALL {
        let browser = role.browser(&app).await;
        let (before, sent) = (app.dump().await, app.messages_sent());
        for (_, pattern, access) in PAGES {
            let path = concrete(pattern);
            for address in [
                path.clone(),
                format!("{path}?token=1&username=x&next=%2Fhome"),
            ] {
                browser.head(&address).await;
                assert_eq!(app.dump().await, before, "{role:?}: HEAD {address}");
                let page = browser.get(&address).await;
                assert_eq!(page.set_cookie(), None, "{role:?}: GET {address}");
                let may_say_why = *access == Access::Pending
                    || ["/disable_2fa", "/recovery_codes"].contains(&path.as_str())
                    || path.starts_with("/reset_password");
                // A sentence may wait in the session that was there; the next page shows it.
                let mut next = page;
                while may_say_why && next.status == 303 {
                    next = browser.follow(&next).await;
                }
                assert_eq!(app.dump().await, before, "{role:?}: GET {address}");
            }
        }
        for path in [
            "/nowhere",
            "/logout?",
            "/verify_2fa/cancel",
            "/sessions/x/revoke",
        ] {
            browser.get(path).await;
            browser.head(path).await;
        }
        assert_eq!(app.dump().await, before, "{role:?}");
        assert_eq!(app.messages_sent(), sent, "{role:?}");
    }
}

#[tokio::test]
async fn reading_never_begins_a_session() {
    let app = TestApp::start().await;
    let guest = app.browser();
    for cookie in [None, Some("invented"), Some("")] {
        if let Some(value) = cookie {
            guest.set_session_cookie(value);
        }
        for (_, pattern, _) in PAGES {
            let path = concrete(pattern);
            assert_eq!(guest.get(&path).await.set_cookie(), None, "{path}");
            assert_eq!(guest.head(&path).await.set_cookie(), None, "{path}");
        }
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn a_head_request_leaves_the_message_for_the_page() {
    let app = TestApp::start().await;
    let guest = app.browser();
    guest.register("harry", "harry@example.com", PASSWORD).await;
    let before = app.dump().await;
    guest.head("/login").await;
    guest.head("/register").await;
    assert_eq!(app.dump().await, before);
    let said = "You have successfully registered. Login to continue";
    assert!(guest.get("/login").await.says(said));
    assert!(!guest.get("/login").await.says(said));
}
