//! Which requests log a user in, and where the button to log out is.

use reqwest::Method;
use twostep::models::outbox::NoticeKind;

use crate::access::{Role, app_with_users, concrete};
use crate::support::PASSWORD;

const A_DAY: u64 = 24 * 60 * 60;

/// Every field of every form, filled in by someone who knows the secrets of both accounts.
pub fn fields<'a>(name: &'a str, email: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("username", name),
        ("email", email),
        ("password", PASSWORD),
        ("confirm_password", PASSWORD),
        ("current_password", PASSWORD),
        ("token", code),
        ("verification_phone", "+447400123456"),
        ("next", "/home"),
        ("remember_me", "1"),
    ]
}

/// ASVS 6.3.4, 6.3.6
#[tokio::test]
async fn only_the_login_form_and_its_codes_log_a_user_in() {
    let app = app_with_users().await;
    let mut ways = Vec::new();
    for (name, role) in [
        ("harry", Role::Guest),
        ("alice", Role::Guest),
        ("alice", Role::PendingLogin),
    ] {
        for route in &app.routes {
            let (method, path) = (&route.method, concrete(route.path));
            app.advance(A_DAY + 1);
            let browser = role.browser(&app).await;
            // The visitor has also followed both emailed links.
            let link = app.reset_link(name).await;
            browser.get(&link).await.redirects_to("/reset_password");
            let link = app.not_me(name, NoticeKind::PasswordChanged).await;
            browser.get(&link).await.redirects_to("/not_me");
            let link = browser.get("/not_me").await.value_of("link").unwrap();
            let email = format!("new-{name}@example.com");
            let code = app.last_code();
            let mut fields = fields(name, &email, &code);
            fields.push(("link", &link));
            let recovery_code = app.recovery_codes(name).await.remove(0);
            fields.push(("recovery_code", &recovery_code));
            match *method {
                Method::POST => browser.post(&path, &fields).await,
                _ => browser.get(&path).await,
            };
            if browser.is_logged_in().await {
                ways.push(format!("{name} {role:?} {method} {path}"));
            }
            if path == "/not_me" && *method == Method::POST {
                // It made the password unusable.
                let browser = app.browser();
                browser.get(&app.reset_link(name).await).await;
                let fields = [("password", PASSWORD), ("confirm_password", PASSWORD)];
                let page = browser.post("/reset_password", &fields).await;
                page.redirects_to("/login");
            }
        }
    }
    let expected = [
        "harry Guest POST /login",
        "alice PendingLogin POST /verify_2fa",
        "alice PendingLogin POST /verify_2fa/recovery",
    ];
    assert_eq!(ways, expected);
}

/// ASVS 7.4.4
#[tokio::test]
async fn every_page_of_a_user_has_a_button_to_log_out() {
    let app = app_with_users().await;
    let mut seen = 0;
    for role in [Role::Fresh, Role::Stale, Role::Enabling] {
        let browser = role.browser(&app).await;
        let paths = app.routes.iter().filter(|it| it.method == Method::GET);
        let paths = paths.map(|route| concrete(route.path));
        for path in paths.chain(["/nowhere".to_owned(), "/user/nobody".to_owned()]) {
            let page = browser.get(&path).await;
            // The demo pages have no user.
            if path.starts_with("/dev/") || page.first("h1").is_none() {
                continue;
            }
            let button = "form[method=post][action='/logout'] button[type=submit]";
            assert!(!page.all(button).is_empty(), "{role:?}: {path}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
    let harry = Role::Fresh.browser(&app).await;
    for path in ["/edit_profile", "/enable_2fa"] {
        let page = harry.post(path, &[("username", "/")]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.all("form[action='/logout'] button"), ["Log out"]);
    }
}
