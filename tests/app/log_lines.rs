//! The program's log with `LOG_FORMAT=json`.

use std::collections::HashSet;

use regex::Regex;
use reqwest::Method;
use reqwest::header::USER_AGENT;

use crate::support::program::Program;
use crate::support::{Browser, PASSWORD, PHONE, raw};
use crate::two_factor::wrong;

async fn code(browser: &Browser) -> String {
    let page = browser.get("/dev/phone").await;
    page.attributes("[data-code]", "data-code").remove(0)
}

/// ASVS 16.2.1, 16.2.2, 16.2.4, 16.2.5, 16.3.1
#[tokio::test]
async fn each_step_of_a_login_is_logged_with_time_route_user_and_method() {
    let program = Program::start(&[]);
    let browser = program.browser();
    let page = browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    let registered = program.line(&page, "registered")["user"].clone();
    let page = browser.log_in("alice", "purple tram at night").await;
    program.line(&page, "login_failed");
    let log_in = browser.log_in("alice", PASSWORD).await;
    let line = program.line(&log_in, "login");
    assert_eq!(line["amr"], "pwd");
    let user = line["user"].clone();
    assert!(user.as_str().is_some_and(|id| id.len() == 22), "{user}");
    assert_eq!(registered, user);

    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let first = code(&browser).await;
    let page = browser.verify(&first).await;
    assert_eq!(program.line(&page, "two_factor_enabled")["user"], user);
    let page = browser.post("/logout", &[]).await;
    assert_eq!(program.line(&page, "logout")["user"], user);

    let page = browser.log_in("alice", PASSWORD).await;
    assert_eq!(program.line(&page, "login_half")["user"], user);
    let line = program.line(&page, "code_asked_for");
    assert_eq!(line["user"], user);
    assert_eq!(line["adding"], false);
    assert_eq!(line["delivery"], "sms");
    let second = code(&browser).await;
    let page = browser.verify(&wrong(&second)).await;
    assert_eq!(program.line(&page, "code_refused")["user"], user);
    let page = browser.verify(&second).await;
    let line = program.line(&page, "login");
    assert_eq!((&line["user"], &line["amr"]), (&user, &"pwd sms".into()));
    let page = browser.post("/reauth", &[("password", "wrong")]).await;
    assert_eq!(program.line(&page, "reauth_failed")["user"], user);

    let time = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").unwrap();
    for line in program.lines() {
        let at = line["timestamp"].as_str().unwrap();
        assert!(time.is_match(at), "{at}: not UTC");
        assert!(line["level"].is_string() && line["message"].is_string());
        let text = line.to_string();
        for secret in [PASSWORD, "purple tram"] {
            assert!(!text.contains(secret), "{text}");
        }
        // Lines of the demo phone and mailbox show codes and emails on purpose.
        let message = line["message"].as_str().unwrap();
        if !message.starts_with("demo ") {
            for secret in [&first, &second, &PHONE[1..], "alice@"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    for line in program.lines_of(&log_in) {
        assert_eq!(line["span"]["route"], "/login");
        assert_eq!(line["span"]["method"], "POST");
        assert_eq!(line["span"]["client"], "127.0.0.1");
    }
    let answered = program.line(&log_in, "request");
    assert_eq!(answered["status"], 303);
    assert!(answered["milliseconds"].is_u64(), "{answered}");
    assert!(answered.get("spans").is_none(), "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_write_one_complete_line_each() {
    let program = Program::start(&[]);
    let tasks = (0..16).map(|_| {
        let browser = program.browser();
        tokio::spawn(async move {
            for _ in 0..25 {
                assert_eq!(browser.get("/login").await.status, 200);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut lines = program.lines(); // each of which is read as JSON
    lines.retain(|line| line["event"] == "request");
    assert_eq!(lines.len(), 16 * 25);
    let ids: HashSet<_> = lines
        .iter()
        .map(|line| line["span"]["id"].as_str())
        .collect();
    assert_eq!(ids.len(), lines.len());
}

/// A pipe may tear a line that is longer than 4 KiB. ASVS 16.4.1
#[tokio::test]
async fn a_long_method_is_truncated_in_the_log() {
    let program = Program::start(&[]);
    let made_up = "A".repeat(12 * 1024);
    let answer = raw::send(program.address, &format!("{made_up} /login"), &[], b"").await;
    assert_eq!(answer.status, 405);
    let line = program.line(&answer, "request");
    assert_eq!(line["span"]["method"], "A".repeat(20));
    assert_eq!(line["status"], 405);
}

/// A restored backup may be readable, for example.
#[cfg(unix)]
#[test]
fn a_database_that_other_users_may_read_is_logged_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (mode, logged) in [
        (0o600, None),
        (0o640, Some("640")),
        (0o604, Some("604")),
        (0o644, Some("644")),
    ] {
        let file = folder.path().join(format!("{mode:o}.db"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let program = Program::start(&[("DATABASE_URL", &format!("sqlite://{}", file.display()))]);
        let mut lines = program.lines();
        lines.retain(|line| line["event"] == "database_readable");
        let modes: Vec<_> = lines.iter().map(|line| line["mode"].as_str()).collect();
        assert_eq!(modes, Vec::from_iter(logged.map(Some)), "{lines:?}");
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
    }
    // The app creates a file that only its owner may read.
    let program = Program::start(&[]);
    let metadata = std::fs::metadata(program.folder.path().join("twostep.db")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

/// ASVS 14.2.1
#[tokio::test]
async fn attack_22_no_token_in_a_path_is_logged_even_at_trace() {
    let program = Program::start(&[("RUST_LOG", "trace")]);
    let browser = program.browser();
    for path in ["reset_password", "not_me"] {
        browser.get(&format!("/{path}/SECRETOFALINK")).await;
    }
    assert!(program.lines().iter().any(|line| line["level"] == "DEBUG"));
    for line in program.lines() {
        assert!(!line.to_string().contains("SECRETOFALINK"), "{line}");
    }
}

/// ASVS 16.3.2, 16.3.3
#[tokio::test]
async fn refused_requests_are_logged() {
    let program = Program::start(&[]);
    let guest = program.browser();
    let page = guest.post("/disable_2fa", &[]).await;
    let line = program.line(&page, "access_refused");
    assert_eq!((&line["access"], line.get("user")), (&"Fresh".into(), None));
    let page = guest.verify("123456").await; // a step too early
    assert_eq!(program.line(&page, "access_refused")["access"], "Pending");

    guest.register("alice", "alice@example.com", PASSWORD).await;
    guest.complete_login("alice").await;
    let page = guest.get("/verify_2fa").await;
    let line = program.line(&page, "access_refused");
    assert!(line["user"].is_string(), "{line}");
    let page = guest.get("/reauth?next=https://evil.example/").await;
    let line = program.line(&page, "next_refused");
    assert!(!line.to_string().contains("evil"), "{line}");

    let foreign = guest.request(Method::POST, "/logout");
    let foreign = foreign.header("origin", "https://evil.example");
    let page = guest.send(foreign).await;
    assert_eq!(page.status, 403);
    program.line(&page, "csrf_refused");
    // An admitted request has no such line.
    let page = guest.get("/login").await;
    let lines = program.lines_of(&page);
    assert!(lines.iter().all(|line| line["event"] == "request"));
}

/// ASVS 16.4.1
#[tokio::test]
async fn input_cannot_forge_a_log_line() {
    let program = Program::start(&[]);
    let browser = program.browser();
    let forged = "a\r\n{\"event\":\"login\",\"user\":\"forged\"}\n\u{1b}[31m\u{2028}";
    let escaped: String = url::form_urlencoded::byte_serialize(forged.as_bytes()).collect();
    browser.log_in(forged, forged).await;
    browser.register(forged, forged, forged).await;
    browser.get(&format!("/{escaped}?{escaped}")).await;
    browser.get(&format!("/login?next={escaped}")).await;
    browser.get(&format!("/reset_password/{escaped}")).await;
    let fields = [("email", forged)];
    browser.post("/reset_password_request", &fields).await;
    for (name, value) in [
        (
            USER_AGENT.as_str(),
            "\"}{\"event\":\"login\",\"user\":\"forged\"}",
        ),
        ("x-forwarded-for", "\"}{\"event\":\"login\""),
        ("x-request-id", "forged"),
        ("origin", "\"}{\"event\":\"login\",\"user\":\"forged\"}"),
    ] {
        let request = browser.request(Method::POST, "/login").header(name, value);
        browser.send(request).await;
    }
    let lines = program.lines();
    assert!(lines.len() > 8, "{}", lines.len());
    for line in lines {
        assert_ne!(line["event"], "login", "{line}");
        assert_ne!(line["user"], "forged", "{line}");
        assert!(!line.to_string().contains("\\u001b"), "{line}");
    }
}

#[tokio::test]
async fn requests_that_browsers_and_supervisors_repeat_are_not_logged() {
    let program = Program::start(&[]);
    let browser = program.browser();
    let login = browser.get("/login").await;
    let css = login.attributes("link[rel=stylesheet]", "href").remove(0);
    for path in ["/dev/phone", "/dev/mailbox", "/healthz", "/readyz", &css] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(program.lines_of(&page).is_empty(), "{path}");
    }
    program.line(&login, "request");
}
