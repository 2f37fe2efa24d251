//! Headers that claim another host never reach a response.

use reqwest::Method;

use crate::support::{PASSWORD, PHONE, TestApp};

const HEADERS: [(&str, &str); 8] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-server", "evil.example"),
    ("x-forwarded-proto", "evil.example"),
    (
        "forwarded",
        "for=evil.example;host=evil.example;proto=https",
    ),
    ("x-original-url", "https://evil.example/"),
    ("x-rewrite-url", "//evil.example/"),
    ("x-host", "evil.example"),
];

/// ASVS 4.1.3
#[tokio::test]
async fn attack_16_a_foreign_host_reaches_no_page_or_redirect() {
    let app = TestApp::start().await;
    let guest = app.browser();
    let user = app.with_two_factor("alice", PHONE).await;
    let pending = app.log_in_until_code("alice").await;
    let of_guest = "/ /home /login /login?next=%2Fhome /register /reset_password_request \
        /reset_password /reset_password/x /logout /nothing /static/nothing /dev/phone /healthz";
    let of_user = "/home /login /user/alice /user/nobody /edit_profile /enable_2fa \
        /change_password /disable_2fa /reauth?next=%2Fenable_2fa";
    for header in HEADERS {
        let of_guest = of_guest.split_whitespace().map(|path| (&guest, path));
        let of_user = of_user.split_whitespace().map(|path| (&user, path));
        for (browser, path) in of_guest.chain(of_user).chain([(&pending, "/verify_2fa")]) {
            let plain = browser.get(path).await;
            let request = browser.request(Method::GET, path);
            let page = browser.send(request.header(header.0, header.1)).await;
            // The demo phone only answers to loopback names, and never behind a proxy.
            let is_refused = header.0 == "host" || header.0.contains("forwarded");
            let dev = path == "/dev/phone" && is_refused;
            let status = if dev { 404 } else { plain.status };
            assert_eq!(page.status, status, "{path} {header:?}");
            assert_eq!(page.location(), plain.location(), "{path} {header:?}");
            assert!(!page.body.contains("evil.example"), "{path} {header:?}");
            let headers = format!("{:?}", page.headers);
            assert!(!headers.contains("evil.example"), "{path} {header:?}");
        }
    }
}

/// ASVS 4.1.3
#[tokio::test]
async fn attack_16_a_foreign_host_reaches_no_redirect_after_a_form() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for header in HEADERS {
        let browser = app.browser();
        for (path, body, location) in [
            (
                "/login",
                format!("username=alice&password={}", PASSWORD.replace(' ', "+")),
                "/home",
            ),
            ("/edit_profile", "username=alice".to_owned(), "/user/alice"),
            ("/logout", String::new(), "/login"),
        ] {
            let request = browser
                .request(Method::POST, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .header(header.0, header.1)
                .body(body);
            let page = browser.send(request).await;
            page.redirects_to(location);
            let headers = format!("{:?}", page.headers);
            assert!(!headers.contains("evil.example"), "{path} {header:?}");
        }
    }
}
