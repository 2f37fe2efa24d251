//! Sessions: the cookie, the row, and its flash messages.

pub mod in_flight;
mod life;
mod messages;
mod reader;

use reqwest::Method;
use reqwest::header::COOKIE;

use crate::support::{Browser, PASSWORD, PHONE, Page, TestApp, raw};

/// Counts sessions.
pub const ROWS: &str = "SELECT COUNT(*) FROM sessions";

/// Asserts that a cookie has neither a login nor a pending login.
pub async fn assert_dead(app: &TestApp, cookie: &str) {
    let browser = app.browser();
    browser.set_session_cookie(cookie);
    let home = browser.get("/home").await;
    home.redirects_to("/login?next=%2Fhome");
    assert_eq!(home.set_cookie(), None, "a dead cookie is left alone");
    let verify = browser.get("/verify_2fa").await;
    verify.redirects_to("/login?next=%2Fhome");
}

/// The value and the attributes of an answer's cookie.
pub fn cookie_of(page: &Page) -> (String, Vec<String>) {
    let cookie = page.set_cookie().expect("no cookie");
    let mut parts = cookie.split("; ").map(str::to_owned);
    let value = parts.next().unwrap().split_once('=').unwrap().1.to_owned();
    let mut attributes: Vec<String> = parts.collect();
    attributes.sort();
    (value, attributes)
}

#[tokio::test]
async fn the_database_holds_the_hash_of_the_cookies_token_and_never_the_token() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let mut cookies = Vec::new();
    for page in [
        browser
            .register("alice", "alice@example.com", PASSWORD)
            .await,
        browser.log_in("alice", PASSWORD).await,
        browser.enable(PHONE).await,
        browser.verify(&app.last_code()).await,
    ] {
        cookies.push(cookie_of(&page).0);
    }
    cookies.extend(app.log_in_until_code("alice").await.session_cookie());
    assert_eq!(cookies.len(), 5);

    let (dump, bytes) = (app.dump().await, app.database_bytes().await);
    for cookie in &cookies {
        assert!(!dump.contains(cookie));
        assert!(!bytes.windows(43).any(|part| part == cookie.as_bytes()));
    }
    for cookie in &cookies[3..] {
        assert!(dump.contains(&sha2_hex(cookie)));
    }
}

/// The form in which the database holds a token.
pub fn sha2_hex(text: &str) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text))
}

/// ASVS 7.2.2, 7.2.3, 11.5.1, 14.3.3
#[tokio::test]
async fn tokens_are_43_characters_of_base64url_and_no_two_are_equal() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let (token, _) = cookie_of(&app.browser().log_in("alice", PASSWORD).await);
        assert_eq!(token.len(), 43);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert!(tokens.insert(token));
    }
    assert_eq!(app.count(ROWS).await, 6, "one per login, and the message's");
}

/// ASVS 7.2.1, 7.2.4
#[tokio::test]
async fn attack_04_an_invented_or_former_cookie_has_no_session() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let invented = "A".repeat(43);
    browser.set_session_cookie(&invented);
    let mut dead = vec![invented];
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    // Every change of privilege ends the former cookie.
    for step in 0..7 {
        let before = browser.session_cookie().unwrap();
        assert!(!dead.contains(&before), "the last step set a new one");
        let page = match step {
            0 => browser.log_in("alice", PASSWORD).await,
            1 => browser.enable(PHONE).await,
            2 => browser.verify(&app.last_code()).await,
            3 => browser.post("/reauth", &[("password", PASSWORD)]).await,
            4 => browser.verify(&app.last_code()).await,
            5 => {
                browser.post("/logout", &[]).await.redirects_to("/login");
                dead.push(before.clone());
                browser.log_in("alice", PASSWORD).await
            }
            _ => browser.verify(&app.last_code()).await,
        };
        assert!(page.status < 400, "step {step}: {}", page.text());
        dead.push(before);
        for cookie in &dead {
            assert_dead(&app, cookie).await;
        }
    }
    assert!(browser.is_logged_in().await);
    assert_eq!(app.count(ROWS).await, 1);
}

#[tokio::test]
async fn attack_04_a_login_does_not_use_a_planted_session() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let mallory = app.register_and_log_in("mallory").await;
    let planted = mallory.session_cookie().unwrap();
    mallory.post("/logout", &[]).await;
    // Mallory plants the cookie of an active session without a login.
    let registered = mallory
        .register("mallory2", "mallory2@example.com", PASSWORD)
        .await;
    let active = cookie_of(&registered).0;
    for cookie in [planted, active] {
        let victim = app.browser();
        victim.set_session_cookie(&cookie);
        victim.complete_login("alice").await;
        assert_ne!(victim.session_cookie(), Some(cookie.clone()));
        assert_dead(&app, &cookie).await;
    }
}

/// ASVS 1.5.2, 7.2.1
#[tokio::test]
async fn an_invalid_cookie_has_no_session() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let good = browser.session_cookie().unwrap();
    let rows = app.count(ROWS).await;
    let mut edited = good.clone();
    edited.replace_range(..1, if good.starts_with('A') { "B" } else { "A" });
    let hash = sha2_hex(&good);
    for cookie in [
        "",
        " ",
        "x",
        "%00",
        "null",
        "' OR 1=1 --",
        "\"quoted\"",
        "a=b=c",
        &good[..42],
        &format!("{good}="),
        &format!("{good}A"),
        &good.to_lowercase().replace(char::is_numeric, "_"),
        &edited,
        &hash,
        &"A".repeat(7_000),
    ] {
        assert_dead(&app, cookie).await;
    }
    let request = app.browser().request(Method::GET, "/home");
    let not_utf8 = request.header(COOKIE, &b"session=\xff\xfe; \xc3=\xa9"[..]);
    let page = app.browser().send(not_utf8).await;
    page.redirects_to("/login?next=%2Fhome");
    assert_eq!(app.count(ROWS).await, rows);
    assert!(browser.is_logged_in().await);
}

/// Another cookie's bytes do not matter.
#[tokio::test]
async fn the_session_cookie_is_read_by_its_exact_name_and_only_if_it_is_sent_once() {
    let app = TestApp::start().await;
    let alice = app
        .register_and_log_in("alice")
        .await
        .session_cookie()
        .unwrap();
    let mallory = app
        .register_and_log_in("mallory")
        .await
        .session_cookie()
        .unwrap();
    for (cookies, is_logged_in) in [
        (format!("session={alice}; %73ession={mallory}"), true),
        (format!("x=\u{e9}; session={alice}; y=\""), true),
        (format!("session={alice}; session={mallory}"), false),
        (format!("%73ession={alice}"), false),
        (format!("sessions={alice}; a; =; session = {alice}"), false),
    ] {
        let header = format!("Cookie: {cookies}");
        let page = raw::send(app.address, "GET /home", &[&header], b"").await;
        let expected = if is_logged_in { 200 } else { 303 };
        assert_eq!(page.status, expected, "{cookies}");
        assert_eq!(page.body.contains("/user/alice"), is_logged_in, "{cookies}");
    }
}

/// ASVS 7.4.2, 8.3.2
#[tokio::test]
async fn the_sessions_of_a_deleted_user_are_dead() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let pending = app.log_in_until_code("alice").await;
    let remembered = app.register_and_log_in("bob").await;
    let fields = [
        ("username", "bob"),
        ("password", PASSWORD),
        ("remember_me", "1"),
    ];
    remembered.post("/logout", &[]).await;
    remembered.post("/login", &fields).await;
    let all: [&Browser; 3] = [&browser, &pending, &remembered];
    let cookies = all.map(|browser| browser.session_cookie().unwrap());
    app.execute("DELETE FROM users").await;
    for cookie in cookies {
        assert_dead(&app, &cookie).await;
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM challenges").await, 0);
    browser
        .get("/edit_profile")
        .await
        .redirects_to("/login?next=%2Fedit_profile");
    let posted = remembered.post("/edit_profile", &[]).await;
    posted.redirects_to("/login?next=%2Fedit_profile");
}
