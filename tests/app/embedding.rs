//! Pages and files that another site loads as an image, a script or a frame.

use reqwest::Method;

use crate::access::{Role, app_with_users, concrete};
use crate::support::TestApp;

/// A browser discards such a response. The cookie is `SameSite=Lax`, so it isn't sent from
/// another site in the first place.
///
/// ASVS 3.5.8
#[tokio::test]
async fn another_site_cannot_embed_any_page() {
    let app = app_with_users().await;
    let browser = Role::Fresh.browser(&app).await;
    let pages = app.routes.iter().filter(|it| it.method == Method::GET);
    for pattern in pages.map(|route| route.path) {
        for destination in ["image", "script", "iframe", "object", "style"] {
            let request = browser
                .request(Method::GET, &concrete(pattern))
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-mode", "no-cors")
                .header("sec-fetch-dest", destination);
            let page = browser.send(request).await;
            let policy = page.header("cross-origin-resource-policy");
            assert_eq!(policy, Some("same-origin"), "{pattern}");
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.contains("frame-ancestors 'none'") || pattern.ends_with("/html"));
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

/// ASVS 3.5.7
#[tokio::test]
async fn scripts_and_styles_hold_no_user_data() {
    let app = TestApp::start().await;
    let (guest, harry) = (app.browser(), app.register_and_log_in("harry").await);
    let page = guest.get("/dev/phone").await;
    let mut files = page.attributes("script", "src");
    assert!(!files.is_empty());
    files.extend(page.attributes("link", "href"));
    for file in files {
        let (public, private) = (guest.get(&file).await, harry.get(&file).await);
        assert_eq!(public.status, 200, "{file}");
        assert!(public.body == private.body, "{file}");
        for name in ["content-type", "etag", "cache-control", "vary"] {
            assert_eq!(public.header(name), private.header(name), "{file}");
        }
        assert!(private.set_cookies().is_empty());
    }
}
