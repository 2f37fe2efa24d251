//! No page needs anything that the content security policy forbids.

use scraper::Selector;
use twostep::models::outbox::NoticeKind;

use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

/// Every page, first without and then with two-factor authentication.
async fn every_page(app: &TestApp) -> Vec<Page> {
    let (guest, harry) = (app.browser(), app.register_and_log_in("harry").await);
    app.register("alice").await;
    let about = [
        ("username", "harry"),
        ("about_me", "<b onclick=x style=y>\nhttp://x.example"),
    ];
    harry.post("/edit_profile", &about).await;
    let mut pages = vec![
        guest.post("/register", &[("username", "<script>")]).await,
        guest.log_in("<img src=x>", "x").await,
        guest
            .post("/reset_password_request", &[("email", "<script>")])
            .await,
        harry.post("/change_password", &[]).await,
        harry
            .post("/edit_profile", &[("username", "<style>")])
            .await,
        harry.post("/reauth", &[("password", "x")]).await,
        harry.enable("\"><script>").await,
    ];
    visit(
        &guest,
        "/login /login?next=%2Fx /register /reset_password_request /logout /dev/phone \
         /dev/mailbox /nowhere",
        &mut pages,
    )
    .await;
    app.browser().log_in("harry", PASSWORD).await; // a session to end
    let paths = "/home /user/harry /user/alice /edit_profile /reauth /enable_2fa \
                 /change_password /security /logout /nowhere";
    visit(&harry, paths, &mut pages).await;
    guest.get(&app.reset_link("alice").await).await;
    visit(&guest, "/reset_password", &mut pages).await;
    pages.push(guest.post("/reset_password", &[]).await);
    harry.enable(PHONE).await;
    visit(&harry, "/verify_2fa", &mut pages).await;
    pages.push(harry.verify("x").await);
    pages.push(harry.verify(&app.last_code()).await);
    pages.push(harry.post("/recovery_codes", &[]).await);
    let paths = "/home /user/harry /enable_2fa /disable_2fa /security /recovery_codes /dev/phone";
    visit(&harry, paths, &mut pages).await;
    let pending = app.log_in_until_code("harry").await;
    visit(&pending, "/verify_2fa /verify_2fa/recovery", &mut pages).await;
    for _ in 0..6 {
        pages.push(pending.recover("<b>").await);
    }
    app.execute("DELETE FROM recovery_codes").await;
    visit(&harry, "/home /recovery_codes", &mut pages).await;
    for event in [
        NoticeKind::TwoFactorDisabled,
        NoticeKind::TwoFactorEnabled,
        NoticeKind::LoginAfterFailures,
        NoticeKind::RecoveryCodeUsed,
        NoticeKind::TwoFactorResetByOperator,
    ] {
        let link = app.not_me("harry", event).await;
        guest.get(&link).await.redirects_to("/not_me");
        visit(&guest, "/not_me", &mut pages).await;
    }
    harry.enable(OTHER_PHONE).await;
    visit(&harry, "/verify_2fa", &mut pages).await;
    pages.push(harry.post("/verify_2fa/resend", &[]).await);
    let link = guest.get("/not_me").await.value_of("link").unwrap();
    pages.push(guest.post("/not_me", &[("link", &link)]).await);
    visit(&guest, "/not_me", &mut pages).await;
    pages
}

async fn visit(browser: &Browser, paths: &str, pages: &mut Vec<Page>) {
    for path in paths.split_whitespace() {
        pages.push(browser.get(path).await);
    }
}

/// ASVS 1.2.2, 1.2.3, 3.6.1, 4.1.1, 14.2.3
#[tokio::test]
async fn no_page_needs_what_the_policy_forbids() {
    let app = TestApp::start().await;
    let pages = every_page(&app).await;
    for page in pages {
        let title = page.first("title").unwrap();
        assert!(title.ends_with(" | Twostep"), "{title}");
        assert!(
            matches!(page.status, 200 | 404 | 422 | 429),
            "{title} {}",
            page.status
        );
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        for attribute in "href src action formaction srcset poster data ping".split(' ') {
            for link in page.attributes(&format!("[{attribute}]"), attribute) {
                let local =
                    link.starts_with('/') && !link.starts_with("//") && !link.contains('\\');
                let picture =
                    attribute == "src" && link.starts_with("https://www.gravatar.com/avatar/");
                assert!(local || picture || link.starts_with('#'), "{title}: {link}");
            }
        }
        let html = page.html();
        for element in html.select(&Selector::parse("*").unwrap()) {
            let name = element.value().name();
            let inline = name == "script" && element.attr("src").is_none();
            let foreign = ["style", "base", "iframe", "object", "embed", "svg"].contains(&name);
            assert!(!inline && !foreign, "{title}: {name}");
            for (attribute, _) in element.value().attrs() {
                let code = attribute.starts_with("on") || attribute == "style";
                assert!(!code && attribute != "http-equiv", "{title}: {attribute}");
            }
        }
    }
}
