//! `/dev/mailbox`

use twostep::models::outbox::Mail;
use twostep::models::user::User;

use crate::logs;
use crate::support::{TestApp, link};

const OTHERS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https://www.gravatar.com; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn enqueue(app: &TestApp, username: &str) {
    let database = &app.pool;
    let user = User::find_by_username(database, username).await;
    let mut transaction = database.begin().await.unwrap();
    Mail::ResetPassword
        .enqueue(
            &mut transaction,
            &user.unwrap().unwrap().id,
            app.state.clock.now(),
        )
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    app.state.mail.wake();
}

#[tokio::test]
async fn an_email_appears_in_the_list_and_in_the_log() {
    logs::keep();
    let app = TestApp::start().await;
    app.register("harry").await;
    app.register("alice").await;
    logs::take();
    enqueue(&app, "harry").await;
    let mail = app.next_mail().await;
    assert_eq!(mail.subject, "Reset your Twostep password");
    assert!(link(&mail).starts_with("/reset_password/"));
    let url = mail.link().unwrap().to_owned();
    let line = format!("demo mailbox: to harry@example.com: Reset your Twostep password {url}");
    let lines = logs::take();
    assert_eq!(
        lines.iter().filter(|it| it.ends_with(&line)).count(),
        1,
        "{lines:?}"
    );

    enqueue(&app, "alice").await;
    assert_eq!(app.mail_to("alice@example.com").await.len(), 1);
    assert_eq!(app.mail_to("nobody@example.com").await.len(), 0);
    let list = app.browser().get("/dev/mailbox").await;
    let entries = "li[data-to][data-subject][data-link]";
    assert_eq!(
        list.attributes(entries, "data-to"),
        ["alice@example.com", "harry@example.com"]
    );
    assert_eq!(list.attributes(entries, "data-link")[1], url);
    assert_eq!(
        list.attributes(entries, "data-subject")[1],
        "Reset your Twostep password"
    );
    let paths = list.attributes("li a", "href");
    let page = app.browser().get(&paths[1]).await;
    assert!(page.first("pre").unwrap().contains(&url));
    assert_eq!(page.attributes("iframe[sandbox='']", "src").len(), 1);
}

#[tokio::test]
async fn an_emails_html_is_sandboxed_and_only_our_page_may_frame_it() {
    let app = TestApp::start().await;
    app.receive_mail("1", "harry@example.com");
    let browser = app.browser();
    let html = browser.get("/dev/mailbox/1/html").await;
    assert_eq!(html.status, 200);
    assert!(html.body.starts_with("<!doctype html><title>Hello"));
    assert_eq!(
        html.header("content-security-policy"),
        Some(
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'"
        )
    );
    assert_eq!(html.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(html.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(html.header("cache-control"), Some("no-store"));

    let page = browser.get("/dev/mailbox/1").await;
    let policy = format!("{OTHERS}; frame-src 'self'");
    assert_eq!(
        page.header("content-security-policy"),
        Some(policy.as_str())
    );
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.attributes("iframe", "src"), ["/dev/mailbox/1/html"]);
    // An email's text is escaped.
    assert_eq!(page.first("h1").as_deref(), Some("<b>Hello</b>"));
    assert!(page.first("pre").unwrap().starts_with("<b>Hello</b>"));
    assert_eq!(
        page.attributes("main a.btn", "href"),
        ["http://localhost:3000/home?a=\"&b"]
    );

    for path in [
        "/dev/mailbox",
        "/dev/mailbox/2",
        "/dev/mailbox/2/html",
        "/login",
    ] {
        let page = browser.get(path).await;
        assert_eq!(
            page.header("content-security-policy"),
            Some(OTHERS),
            "{path}"
        );
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
    }
}

#[tokio::test]
async fn the_last_fifty_emails_are_kept() {
    let app = TestApp::start().await;
    for number in 0..60 {
        app.receive_mail(&number.to_string(), &format!("user{number}@example.com"));
    }
    let mailbox = app.state.demo_mailbox.as_ref().unwrap();
    assert_eq!(mailbox.emails().len(), 50);
    let list = app.browser().get("/dev/mailbox").await;
    let to = list.attributes("li", "data-to");
    assert_eq!((to.len(), to[0].as_str()), (50, "user59@example.com"));
    assert_eq!(app.browser().get("/dev/mailbox/9").await.status, 404);
    assert_eq!(app.browser().get("/dev/mailbox/10").await.status, 200);
}

#[tokio::test]
async fn every_page_links_to_the_demos_in_use() {
    let demo = TestApp::start().await;
    let real = TestApp::with(&[("SMTP_URL", "smtp://127.0.0.1:1")]).await;
    for (app, path, links) in [
        (&demo, "/login", &["/dev/phone", "/dev/mailbox"][..]),
        (&demo, "/nowhere", &["/dev/phone", "/dev/mailbox"]),
        (&real, "/login", &["/dev/phone"]),
    ] {
        let page = app.browser().get(path).await;
        assert_eq!(page.attributes(".demo-strip a", "href"), links, "{path}");
    }
    assert_eq!(real.browser().get("/dev/mailbox").await.status, 404);
}
