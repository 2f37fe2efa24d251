//! What a security review found, each so that it does not come back.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{COOKIE, HOST};
use twostep::dev::simulator::{Failure, SILENT};

use crate::support::{PASSWORD, PHONE, TestApp, raw, until};

#[tokio::test]
async fn a_password_that_makes_its_judge_overflow_stops_nobody_elses_log_in() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let cores = std::thread::available_parallelism().unwrap().get();
    for attempt in 0..=cores {
        let (name, password) = (format!("eve{attempt}"), "1452".repeat(8));
        let page = app
            .browser()
            .register(&name, "eve@example.com", &password)
            .await;
        assert!(page.status < 500, "{}", page.text());
    }
    app.browser()
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn work_that_panics_costs_no_hashing_thread() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let cores = std::thread::available_parallelism().unwrap().get();
    for _ in 0..=cores {
        let lost = app.state.passwords.run(|| panic!("on purpose")).await;
        assert!(lost.is_err());
    }
    app.browser()
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

#[tokio::test]
async fn attack_05_a_request_in_flight_with_a_cookie_that_died_gets_no_living_one() {
    // Patience with Twilio for longer than a busy machine takes for a password.
    let app = TestApp::with_timeout(&[], Duration::from_secs(3)).await;
    let alice = app.signed_in("alice").await;
    let thief = alice.copy();
    let before = app.phone().counters().creates;
    let (stolen, ()) = tokio::join!(thief.enable(SILENT), async {
        until(|| app.phone().counters().creates > before).await;
        // Her cookie changes at every step, and the thief's is dead from then on.
        alice
            .post("/reauth", &[("password", PASSWORD)])
            .await
            .redirects_to("/home");
    });
    stolen.redirects_to("/login?next=%2Fhome");
    assert_eq!(stolen.set_cookie(), None);
    assert!(alice.is_logged_in().await);
    assert!(!thief.is_logged_in().await);
}

#[tokio::test]
async fn a_cookie_counts_by_its_name_as_it_is_and_only_once() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await.session_cookie().unwrap();
    let mallory = app.signed_in("mallory").await.session_cookie().unwrap();
    let shown = async |cookies: String| {
        let browser = app.browser();
        let request = browser
            .request(Method::GET, "/home")
            .header(COOKIE, cookies);
        browser.send(request).await
    };
    let page = shown(format!("session={alice}; %73ession={mallory}")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/user/alice"));
    assert_eq!(
        shown(format!("session={alice}; session={mallory}"))
            .await
            .status,
        303
    );
    assert_eq!(shown(format!("%73ession={alice}")).await.status, 303);
    assert_eq!(
        shown(format!("sessions={alice}; a; =; session = {alice}"))
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn another_cookie_with_any_bytes_logs_nobody_out() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await.session_cookie().unwrap();
    let cookies = format!("Cookie: x=\u{e9}; session={alice}; y=\"");
    let page = raw::send(app.address, "GET /home", &[&cookies], b"").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_parts_no_code_from_its_row() {
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await;
    let before = app.phone().counters().creates;
    app.phone().fail_with(Some(Failure::Silence));
    let hung_up = tokio::time::timeout(Duration::from_millis(200), alice.enable(PHONE)).await;
    assert!(hung_up.is_err(), "Twilio answered");
    until(|| app.phone().counters().creates > before).await;
    // The app goes on waiting for Twilio, and writes down how that ended.
    let unknown = "SELECT COUNT(*) FROM challenges WHERE delivery = 'unknown'";
    while app.count(unknown).await == 0 {
        tokio::task::yield_now().await;
    }
}

async fn demo_phone(app: &TestApp, host: &str) -> u16 {
    let browser = app.browser();
    let request = browser.request(Method::GET, "/dev/phone");
    browser.send(request.header(HOST, host)).await.status
}

#[tokio::test]
async fn a_page_of_another_name_that_leads_here_cannot_read_the_demo_phone() {
    let app = TestApp::start().await;
    for host in [
        "evil.example",
        "evil.example:3000",
        "203.0.113.9",
        "localhost.evil.example",
    ] {
        assert_eq!(demo_phone(&app, host).await, 404, "{host}");
    }
    for host in [
        "localhost",
        "localhost:3000",
        "127.0.0.1:3000",
        "[::1]:3000",
    ] {
        assert_eq!(demo_phone(&app, host).await, 200, "{host}");
    }
}

#[tokio::test]
async fn a_verification_for_which_nothing_was_sent_takes_no_code() {
    let app = TestApp::start().await;
    let _settings = app.with_two_factor("alice", PHONE).await;
    let first = app.half_logged_in("alice").await;
    let code = app.last_code();
    first
        .post("/verify_2fa/cancel", &[])
        .await
        .redirects_to("/login");

    let second = app.half_logged_in("alice").await;
    let page = second.get("/verify_2fa").await;
    assert!(
        page.says("You can ask for another in 30 seconds"),
        "{:?}",
        page.alerts()
    );
    assert!(
        page.all("input[name=token]").is_empty(),
        "no code can be right yet"
    );
    assert_eq!(
        page.attributes("form[action='/verify_2fa/resend']", "method"),
        ["post"]
    );
    let checks = app.phone().counters().checks;
    assert_eq!(second.verify(&code).await.status, 422);
    assert_eq!(app.phone().counters().checks, checks, "Twilio was asked");

    app.advance(30);
    second
        .post("/verify_2fa/resend", &[])
        .await
        .redirects_to("/verify_2fa");
    second.verify(&app.last_code()).await.redirects_to("/home");
}
