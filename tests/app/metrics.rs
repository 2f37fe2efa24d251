//! The metrics at `METRICS_ADDR`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};

use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::logs;
use crate::support::database::on_postgresql;
use crate::support::smtp::{SmtpServer, Tls};
use crate::support::{Browser, OTHER_PHONE, PATIENCE, PHONE, TestApp, until};
use crate::two_factor::wrong;

const ON: (&str, &str) = ("METRICS_ADDR", "127.0.0.1:0");

async fn app() -> TestApp {
    TestApp::with(&[ON]).await
}

async fn scrape(app: &TestApp) -> String {
    let page = Browser::new(app.metrics.unwrap()).get("/metrics").await;
    let kind = page.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert_eq!(page.status, 200);
    page.body
}

/// The value of a metric with exactly these labels, or 0.
async fn value(app: &TestApp, metric: &str) -> f64 {
    let text = scrape(app).await;
    let line = |line: &str| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(line).unwrap_or(0.0)
}

/// The names and labels, without the values.
async fn series(app: &TestApp) -> BTreeSet<String> {
    let text = scrape(app).await;
    let named = text.lines().filter(|line| !line.starts_with('#'));
    named
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn metrics_are_served_only_at_their_own_address_and_only_if_configured() {
    let app = TestApp::start().await;
    assert_eq!(app.metrics, None);
    assert_eq!(app.browser().get("/metrics").await.status, 404);
    let app = self::app().await;
    assert_eq!(app.browser().get("/metrics").await.status, 404);
    assert!(scrape(&app).await.ends_with("# EOF\n"));
    // Their address serves no other page.
    let other = Browser::new(app.metrics.unwrap());
    for path in ["/", "/login", "/healthz", "/dev/phone"] {
        assert_eq!(other.get(path).await.status, 404, "{path}");
    }
}

/// ASVS 16.3.4
#[tokio::test]
async fn a_request_whose_client_disconnects_is_counted_and_logged() {
    logs::keep();
    let app = app().await;
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    for _ in 0..std::thread::available_parallelism().unwrap().get() {
        let (passwords, released) = (app.state.passwords.clone(), Arc::clone(&released));
        let hold = move || released.lock().unwrap().recv();
        tokio::spawn(async move { passwords.run(hold).await });
    }
    let form = "username=alice&password=wrong";
    let length = form.len();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    logs::take();
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    until(|| app.state.passwords.load().waiting == 1).await;
    drop(stream);
    let gone = r#"twostep_requests_total{method="POST",route="/login",status="499"}"#;
    let counted = async { while value(&app, gone).await < 1.0 {} };
    timeout(PATIENCE, counted).await.expect("never counted");
    let lines = logs::take();
    let of_it = |line: &&String| line.contains("status=499") && line.contains("/login");
    assert_eq!(lines.iter().filter(of_it).count(), 1, "{lines:?}");
    drop(release);
}

#[tokio::test]
async fn responses_are_counted_by_method_route_and_status() {
    let app = app().await;
    app.register("alice").await;
    let wrong = r#"twostep_requests_total{method="POST",route="/login",status="422"}"#;
    let right = r#"twostep_requests_total{method="POST",route="/login",status="303"}"#;
    let took = r#"twostep_request_seconds_count{method="POST",route="/login"}"#;
    app.browser().log_in("alice", "purple tram at night").await;
    assert_eq!(
        (value(&app, wrong).await, value(&app, right).await),
        (1.0, 0.0)
    );
    let browser = app.browser();
    browser.complete_login("alice").await;
    assert_eq!(
        (value(&app, wrong).await, value(&app, right).await),
        (1.0, 1.0)
    );
    assert_eq!(value(&app, took).await, 2.0);
    let sum = r#"twostep_request_seconds_sum{method="POST",route="/login"}"#;
    let seconds = value(&app, sum).await;
    assert!(seconds > 0.001 && seconds < 60.0, "{seconds}");
    let all = r#"twostep_request_seconds_bucket{le="+Inf",method="POST",route="/login"}"#;
    assert_eq!(value(&app, all).await, 2.0);

    browser.get("/user/alice").await;
    let page = r#"twostep_requests_total{method="GET",route="/user/{username}",status="200"}"#;
    assert_eq!(value(&app, page).await, 1.0);
}

#[tokio::test]
async fn arbitrary_requests_add_no_labels() {
    let app = app().await;
    let browser = app.browser();
    let odd = Method::from_bytes(b"ODD1").unwrap();
    browser.get("/nothing").await;
    browser.send(browser.request(odd, "/nothing")).await;
    browser.get("/user/nobody").await;
    browser.get("/static/nothing").await;
    let before = series(&app).await;
    for number in 0..20 {
        browser.get(&format!("/nothing/{number}?{number}")).await;
        browser.get(&format!("/user/nobody{number}")).await;
        browser.get(&format!("/static/{number}")).await;
        let odd = Method::from_bytes(format!("ODD{number}").as_bytes()).unwrap();
        browser.send(browser.request(odd, "/nothing")).await;
    }
    assert_eq!(series(&app).await, before);
    let unknown = r#"twostep_requests_total{method="GET",route="-",status="404"}"#;
    assert_eq!(value(&app, unknown).await, 21.0);
}

#[tokio::test]
async fn codes_are_counted_by_country_and_outcome() {
    let app = app().await;
    let browser = app.register_and_log_in("alice").await;
    let sent = r#"twostep_codes_sent_total{country="KE",outcome="sms"}"#;
    let right = r#"twostep_codes_checked_total{country="KE",outcome="right"}"#;
    let refused = r#"twostep_codes_checked_total{country="KE",outcome="wrong"}"#;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    assert_eq!(value(&app, sent).await, 1.0);
    browser.verify(&wrong(&app.last_code())).await;
    assert_eq!(
        (value(&app, refused).await, value(&app, right).await),
        (1.0, 0.0)
    );
    browser.verify(&app.last_code()).await;
    assert_eq!(
        (value(&app, refused).await, value(&app, right).await),
        (1.0, 1.0)
    );

    // The demo numbers: a fallback call, too many codes, fraud guard, an outage.
    let fallen_back = r#"twostep_codes_fallen_back_total{country="US"}"#;
    for (number, outcome) in [
        ("+12025550110", "call"),
        ("+12025550111", "fraud_guard"),
        ("+12025550112", "too_many"),
        ("+12025550113", "failed"),
    ] {
        let name = format!("u{}", &number[9..]);
        let browser = app.register_and_log_in(&name).await;
        browser.enable(number).await;
        let sent = format!(r#"twostep_codes_sent_total{{country="US",outcome="{outcome}"}}"#);
        assert_eq!(value(&app, &sent).await, 1.0, "{outcome}");
        assert_eq!(value(&app, fallen_back).await, 1.0, "{outcome}");
    }
    // A requested call is no fallback.
    let browser = app.register_and_log_in("bob").await;
    browser
        .enable(OTHER_PHONE)
        .await
        .redirects_to("/verify_2fa");
    app.advance(31);
    browser.post("/verify_2fa/call", &[]).await;
    let called = r#"twostep_codes_sent_total{country="DE",outcome="call"}"#;
    assert_eq!(value(&app, called).await, 1.0);
    let not = r#"twostep_codes_fallen_back_total{country="DE"}"#;
    assert_eq!(value(&app, not).await, 0.0);
    let text = scrape(&app).await;
    assert!(
        !text.contains("254720") && !text.contains("alice"),
        "{text}"
    );
}

#[tokio::test]
async fn running_and_waiting_hashes_are_measured() {
    let app = app().await;
    let cores = std::thread::available_parallelism().unwrap().get();
    let blocked = app.block_hashing(None, 3).await;
    let running = value(&app, "twostep_hashes_running").await;
    let waiting = value(&app, "twostep_hashes_waiting").await;
    #[allow(clippy::cast_precision_loss)]
    let expected = (cores as f64, 3.0);
    assert_eq!((running, waiting), expected);
    assert_eq!(blocked.release().await, 0);
    until(|| app.state.passwords.load().running == 0).await;
    assert_eq!(value(&app, "twostep_hashes_running").await, 0.0);
    assert_eq!(value(&app, "twostep_hashes_waiting").await, 0.0);
}

#[tokio::test]
async fn waiting_and_sent_emails_are_measured() {
    let server = SmtpServer::start(Tls::Never).await;
    server.refuse("RCPT", "450 later");
    let url = server.url();
    let app = TestApp::with(&[ON, ("SMTP_URL", &url)]).await;
    app.register("alice").await;
    let fields = [("email", "alice@example.com")];
    app.browser().post("/reset_password_request", &fields).await;
    let delayed = r#"twostep_mails_total{outcome="delayed"}"#;
    while value(&app, delayed).await < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(value(&app, "twostep_mails_waiting").await, 1.0);
    assert_eq!(value(&app, "twostep_mails_due").await, 0.0);
    server.behave();
    app.advance(31);
    app.state.mail.wake();
    while value(&app, r#"twostep_mails_total{outcome="sent"}"#).await < 1.0 {
        tokio::task::yield_now().await;
    }
    while value(&app, "twostep_mails_waiting").await > 0.0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_pool_and_a_database_outage_are_measured() {
    let app = app().await;
    assert_eq!(value(&app, "twostep_database_up").await, 1.0);
    let connections = value(&app, "twostep_database_connections").await;
    assert!(connections >= 1.0, "{connections}");
    // On SQLite this is the only one, so the scrape's own query times out.
    let (hold, most) = if on_postgresql() { (4, 12.0) } else { (1, 1.0) };
    let mut held = Vec::new();
    for _ in 0..hold {
        held.push(app.state.database.acquire().await.unwrap());
    }
    // In this order, since a scrape may open one more.
    let idle = value(&app, "twostep_database_connections_idle").await;
    let connections = value(&app, "twostep_database_connections").await;
    let held_there = f64::from(hold);
    assert!(
        connections >= held_there && connections <= most && connections - idle >= held_there,
        "{connections} {idle}"
    );
    drop(held);
    app.state.database.close().await;
    assert_eq!(value(&app, "twostep_database_up").await, 0.0);
}

#[tokio::test]
async fn the_used_daily_budgets_are_measured() {
    let app = app().await;
    let browser = app.register_and_log_in("alice").await;
    let row = |kind: &str, budget: &str| format!("twostep_budget_{kind}{{budget=\"{budget}\"}}");
    for (budget, limit) in [
        ("sends_of_service", 1000.0),
        ("sends_to_new_numbers", 500.0),
        ("calls_of_service", 200.0),
    ] {
        assert_eq!(value(&app, &row("limit", budget)).await, limit);
        assert_eq!(value(&app, &row("used", budget)).await, 0.0);
    }
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    app.advance(31);
    browser.post("/verify_2fa/call", &[]).await;
    for (budget, used) in [
        ("sends_of_service", 2.0),
        ("sends_to_new_numbers", 2.0),
        ("calls_of_service", 1.0),
    ] {
        assert_eq!(value(&app, &row("used", budget)).await, used, "{budget}");
    }
}
