//! The login does not reveal which usernames exist.

use std::time::{Duration, Instant};

use crate::support::{PASSWORD, PHONE, Page, TestApp};

/// Everything that a response reveals, without the typed username.
pub fn revealed(page: &Page, name: &str) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = page
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let body = page.body.replace(name, "NAME");
    (page.status, headers, body)
}

/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_unknown_and_known_usernames_get_the_same_response() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.with_two_factor("guarded", PHONE).await;
    let sent = app.messages_sent();
    let rows = app.count("SELECT COUNT(*) FROM sessions").await;
    let mut answers = Vec::new();
    for name in [
        "alice", "guarded", "nobody", "ALICE", "admin", "n\u{f6}", "' OR 1=1",
    ] {
        let fields = [
            ("username", name),
            ("password", "a wrong one"),
            ("next", "/home"),
        ];
        let page = app.browser().post("/login", &fields).await;
        let escaped = name.replace('\'', "&#39;");
        answers.push((name, revealed(&page, &escaped)));
    }
    for (name, answer) in &answers {
        assert_eq!(answer, &answers[0].1, "{name}");
    }
    assert_eq!(answers[0].1.0, 422);
    assert_eq!(app.messages_sent(), sent);
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, rows);
}

/// Measures the shortest refused login of each username, since other work on the machine only
/// lengthens some. Repeats until none takes twice as long as another, at most 100 times.
async fn shortest<const N: usize>(app: &TestApp, names: [&str; N]) -> [Duration; N] {
    let mut times = [Duration::MAX; N];
    let browser = app.browser();
    let alike =
        |times: &[Duration; N]| times.iter().max() < times.iter().min().map(|it| *it * 2).as_ref();
    for round in 0..100 {
        if round >= 15 && alike(&times) {
            break;
        }
        app.advance(120); // below the limits
        for (name, time) in names.iter().zip(&mut times) {
            let started = Instant::now();
            let page = browser.log_in(name, "a wrong one").await;
            *time = started.elapsed().min(*time);
            assert_eq!(page.status, 422);
        }
    }
    times
}

/// ASVS 6.3.8
#[tokio::test]
async fn attack_13_unknown_usernames_take_as_long_as_known_ones() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.with_two_factor("guarded", PHONE).await;
    let names = ["alice", "guarded", "nobody", "no such name"];
    let [known, guarded, unknown, impossible] = shortest(&app, names).await;
    for other in [guarded, unknown, impossible] {
        assert!(
            other * 2 > known && known * 2 > other,
            "{known:?} against {other:?}"
        );
    }
}

#[tokio::test]
async fn attack_13_two_factor_authentication_shows_only_after_the_right_password() {
    let app = TestApp::start().await;
    app.with_two_factor("guarded", PHONE).await;
    app.register("alice").await;
    for name in ["guarded", "alice"] {
        let browser = app.browser();
        assert_eq!(browser.log_in(name, "a wrong one").await.status, 422);
        let page = browser.get("/verify_2fa").await;
        page.redirects_to("/login?next=%2Fhome");
    }
    let page = app.browser().log_in("guarded", PASSWORD).await;
    page.redirects_to("/verify_2fa");
}
