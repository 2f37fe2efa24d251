//! Attack 22: secrets in the database, the log and URLs.

use super::slow_twilio::SlowTwilio;
use crate::logs;
use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp};

/// So long that they do not occur by chance.
const CODES: [&str; 4] = ["8273645190", "9182736450", "7364519028", "6451902837"];

/// The cookies and pages of a walk through the app.
struct Walk {
    browser: Browser,
    cookies: Vec<String>,
    pages: Vec<Page>,
}

impl Walk {
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) {
        let page = self.browser.post(path, fields).await;
        assert!(
            page.status < 400 || page.status == 422,
            "{path}: {}",
            page.text()
        );
        self.cookies.extend(self.browser.session_cookie());
        if page.location().is_some() {
            self.pages.push(self.browser.follow(&page).await);
        }
        self.pages.push(page);
    }
}

/// Registers, enables, logs out, logs in with a code, reauthenticates, changes the number and
/// disables, with a wrong password and a wrong code on the way.
async fn walk_through(app: &TestApp, codes: impl Fn(usize) -> String) -> Walk {
    let mut walk = Walk {
        browser: app.browser(),
        cookies: Vec::new(),
        pages: Vec::new(),
    };
    let register = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
        ("confirm_password", PASSWORD),
    ];
    let login = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("remember_me", "y"),
    ];
    walk.post("/register", &register).await;
    let wrong = [("username", "alice"), ("password", "purple tram at night")];
    walk.post("/login", &wrong).await;
    walk.post("/login", &login).await;
    walk.post("/enable_2fa", &[("verification_phone", PHONE)])
        .await;
    walk.post("/verify_2fa", &[("token", &codes(0))]).await;
    walk.post("/logout", &[]).await;
    walk.post("/login", &login).await;
    walk.post("/verify_2fa", &[("token", "not a code")]).await;
    walk.post("/verify_2fa", &[("token", &codes(1))]).await;
    app.advance(600);
    let fields = [("password", PASSWORD), ("next", "/enable_2fa")];
    walk.post("/reauth", &fields).await;
    walk.post("/verify_2fa", &[("token", &codes(2))]).await;
    walk.post("/enable_2fa", &[("verification_phone", "+12025550147")])
        .await;
    walk.post("/verify_2fa", &[("token", &codes(3))]).await;
    assert_eq!(app.phone_of("alice").await.as_deref(), Some("+12025550147"));
    walk.post("/login", &login).await;
    walk.post("/disable_2fa", &[]).await;
    walk
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

/// ASVS 14.2.4
#[tokio::test]
async fn attack_22_the_database_holds_no_code_cookie_or_password_in_clear() {
    let (twilio, app) = SlowTwilio::start().await;
    twilio.answer(4);
    let walk = walk_through(&app, |at| CODES[at].to_owned()).await;
    let bytes = app.database_bytes().await;
    assert!(holds(&bytes, "alice@example.com"), "it is the database");
    assert!(walk.cookies.len() >= 8);
    let passwords = [PASSWORD, "purple tram at night", "a-twilio-token"];
    let secrets = walk.cookies.iter().map(String::as_str);
    for secret in secrets.chain(CODES).chain(passwords) {
        assert!(!holds(&bytes, secret), "{secret}");
    }
}

/// ASVS 3.3.4, 14.2.1, 16.2.5
#[tokio::test]
async fn attack_22_no_log_line_and_no_url_holds_a_secret() {
    logs::keep();
    logs::take();
    let (twilio, app) = SlowTwilio::start().await;
    twilio.answer(4);
    let walk = walk_through(&app, |at| CODES[at].to_owned()).await;
    let mut lines = logs::take();
    // The demo mailbox logs its emails on purpose.
    lines.retain(|line| !line.contains(" demo mailbox: to "));
    for event in ["login", "two_factor_enabled", "phone_changed", "reauth"] {
        let event = format!("event=\"{event}\"");
        assert!(lines.iter().any(|line| line.contains(&event)), "{event}");
    }
    let numbers = [&PHONE[4..], "2025550147", "alice@example.com"];
    let passwords = [PASSWORD, "purple tram at night", "a-twilio-token"];
    let secrets: Vec<&str> = walk.cookies.iter().map(String::as_str).collect();
    for secret in secrets
        .into_iter()
        .chain(CODES)
        .chain(passwords)
        .chain(numbers)
    {
        for line in &lines {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
        for page in &walk.pages {
            let to = page.location().unwrap_or_default();
            assert!(!to.contains(secret), "{secret} in {to}");
            let links = [
                page.attributes("a", "href"),
                page.attributes("form", "action"),
            ];
            for link in links.concat() {
                assert!(!link.contains(secret), "{secret} in {link}");
            }
        }
    }
    for page in &walk.pages {
        for secret in CODES.iter().chain(&passwords) {
            assert!(!page.body.contains(secret), "{secret} in {}", page.text());
        }
    }
}

#[tokio::test]
async fn attack_22_only_the_demo_phone_logs_a_number_or_code() {
    logs::keep();
    logs::take();
    let app = TestApp::start().await;
    walk_through(&app, |_| app.last_code()).await;
    let codes: Vec<String> = app
        .phone()
        .messages()
        .into_iter()
        .map(|it| it.code)
        .collect();
    let (demo, others): (Vec<String>, Vec<String>) = logs::take()
        .into_iter()
        .partition(|line| line.contains(": demo phone: "));
    assert_eq!(demo.len(), codes.len());
    for line in others {
        for code in &codes {
            assert!(!line.contains(&format!(" {code}")), "{code} in {line}");
        }
        assert!(
            !line.contains(&PHONE[4..]) && !line.contains("2025550147"),
            "{line}"
        );
    }
}
