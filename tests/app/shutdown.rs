//! Graceful shutdown of real processes by real signals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use twostep::App;
use twostep::config::Config;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use crate::logs;
use crate::settings::TWILIO;
use crate::support::program::Program;
use crate::support::smtp::{Fault, SmtpServer, Tls};
use crate::support::{
    Browser, NOW, PASSWORD, PATIENCE, PHONE, SECRET_KEY, TWILIO_TIMEOUT, TestDatabase, until,
};

const SID: &str = "VE0123456789abcdef0123456789abcdef";

/// A Twilio that answers when the test permits. It approves every code.
#[derive(Clone)]
struct GatedTwilio {
    requests: Arc<Semaphore>,
    responses: Arc<Semaphore>,
}

async fn send(State(twilio): State<GatedTwilio>) -> (StatusCode, String) {
    twilio.requests.add_permits(1);
    twilio.responses.acquire().await.unwrap().forget();
    (StatusCode::CREATED, verification("pending"))
}

fn verification(status: &str) -> String {
    json!({ "sid": SID, "to": PHONE, "status": status }).to_string()
}

/// The program with such a Twilio, and an account with two-factor authentication.
async fn start() -> (Program, GatedTwilio) {
    let twilio = GatedTwilio {
        requests: Arc::new(Semaphore::new(0)),
        responses: Arc::new(Semaphore::new(1)),
    };
    let service = "/v2/Services/{service}";
    let approve = || async { verification("approved") };
    let router = Router::new()
        .route(&format!("{service}/Verifications"), post(send))
        .route(&format!("{service}/VerificationCheck"), post(approve))
        .with_state(twilio.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let url = ("TWILIO_VERIFY_BASE_URL", url.as_str());
    let program = Program::start(&[&TWILIO[..], &[url]].concat());
    let browser = register_alice(&program).await;
    browser.complete_login("alice").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    assert_eq!(browser.verify("123456").await.status, 200);
    twilio.requests.acquire().await.unwrap().forget();
    (program, twilio)
}

async fn register_alice(program: &Program) -> Browser {
    let browser = program.browser();
    let email = "alice@example.com";
    let page = browser.register("alice", email, PASSWORD).await;
    page.redirects_to("/login");
    browser
}

/// Sends a login on a keep-alive connection.
async fn send_login(program: &Program) -> TcpStream {
    let body = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        program.address,
        body.len()
    );
    let mut stream = TcpStream::connect(program.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Waits until the program accepts no new connection.
async fn until_closed(program: &Program) {
    while program.is_listening().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_running_login_is_answered_after_a_signal() {
    for signal in ["TERM", "INT"] {
        let (mut program, twilio) = start().await;
        let idle = TcpStream::connect(program.address).await.unwrap();
        let mut stream = send_login(&program).await;
        twilio.requests.acquire().await.unwrap().forget();
        program.signal(signal);
        until_closed(&program).await;
        twilio.responses.add_permits(1);
        let mut response = String::new();
        // The program closes the connection, so this reads to its end.
        let reading = stream.read_to_string(&mut response);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.unwrap().unwrap();
        let response = response.to_lowercase();
        assert!(response.starts_with("http/1.1 303 "), "{response}");
        assert!(
            response.contains("\r\nlocation: /verify_2fa\r\n"),
            "{response}"
        );
        assert_eq!(program.exit_code().await, Some(0), "{signal}");
        drop(idle);
        let lines = program.lines();
        let has_event = |name| lines.iter().any(|line| line["event"] == name);
        assert!(has_event("stopping") && !has_event("cut_off"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_login_completes_at_shutdown_even_if_its_client_has_disconnected() {
    let (mut program, twilio) = start().await;
    let stream = send_login(&program).await;
    twilio.requests.acquire().await.unwrap().forget();
    drop(stream);
    until(|| program.lines().iter().any(|line| line["status"] == 499)).await;
    program.signal("TERM");
    until_closed(&program).await;
    twilio.responses.add_permits(1);
    assert_eq!(program.exit_code().await, Some(0));
    let sent = "SELECT COUNT(*) FROM verifications WHERE is_adding = 0 AND sid IS NOT NULL";
    assert_eq!(count(&program, sent).await, 1);
}

/// A count in the database of an ended program.
async fn count(program: &Program, sql: &'static str) -> i64 {
    let file = program.folder.path().join("twostep.db");
    let database = twostep::models::connect(&format!("sqlite://{}", file.display())).await;
    let count = sqlx::query_scalar(sql).fetch_one(&database.unwrap()).await;
    count.unwrap()
}

/// The sum of these metrics.
async fn sum(metrics: &Browser, names: &[&str]) -> f64 {
    let text = metrics.get("/metrics").await.body;
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let number: Option<f64> = value.parse().ok();
        names.contains(&name).then_some(number?)
    };
    text.lines().filter_map(value).sum()
}

#[tokio::test]
async fn passwords_in_the_hashing_queue_are_hashed_before_the_end() {
    let mut program = Program::start(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let metrics = program.lines().into_iter().find_map(|line| {
        let served = line["event"] == "metrics_served";
        served.then(|| line["address"].as_str().unwrap().parse().unwrap())
    });
    let metrics = Browser::new(metrics.unwrap());
    register_alice(&program).await;
    // More than most machines have cores, so that some wait in the queue.
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(send_login(&program).await);
    }
    let running = [
        "twostep_hashes_running",
        "twostep_hashes_waiting",
        r#"twostep_requests_total{method="POST",route="/login",status="303"}"#,
    ];
    while sum(&metrics, &running).await < 8.0 {
        tokio::task::yield_now().await;
    }
    program.signal("TERM");
    for stream in &mut streams {
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 303 "), "{response}");
    }
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let (mut program, twilio) = start().await;
        let mut stream = send_login(&program).await;
        twilio.requests.acquire().await.unwrap().forget();
        program.signal("TERM");
        until_closed(&program).await;
        program.signal(second);
        assert_eq!(program.exit_code().await, Some(status));
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response).await;
        assert!(response.is_empty(), "{response:?}");
    }
}

#[tokio::test]
async fn an_email_that_a_second_signal_interrupts_stays_in_the_queue() {
    let server = SmtpServer::start(Tls::Never).await;
    server.misbehave("MAIL", Fault::Silence);
    let url = server.url();
    let mut program = Program::start(&[("SMTP_URL", &url)]);
    let browser = register_alice(&program).await;
    let fields = [("email", "alice@example.com")];
    browser.post("/reset_password_request", &fields).await;
    until(|| server.times_heard("MAIL") > 0).await;
    program.signal("TERM");
    until_closed(&program).await;
    program.signal("TERM");
    assert_eq!(program.exit_code().await, Some(143));
    let waiting = count(&program, "SELECT COUNT(*) FROM outbox").await;
    assert_eq!((waiting, server.received().len()), (1, 0));
}

#[tokio::test]
async fn a_database_that_cannot_be_closed_delays_the_end_only_until_the_deadline() {
    logs::keep();
    let database = TestDatabase::new().await;
    let variables = HashMap::from([
        ("DATABASE_URL".to_owned(), database.url()),
        (SECRET_KEY.0.to_owned(), SECRET_KEY.1.to_owned()),
    ]);
    let config = Config::from_variables(&variables).unwrap();
    let clock = Clock::manual(NOW);
    let mut app = App::build(config, clock, TWILIO_TIMEOUT).await.unwrap();
    app.cleanup_deadline = Duration::from_millis(300);
    let held = app.state.database.acquire().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    logs::take();
    let served = app.serve(listener, Limits::default(), std::future::ready(()));
    tokio::time::timeout(PATIENCE, served)
        .await
        .expect("it waits without a limit")
        .unwrap();
    let lines = logs::take().join("\n");
    assert!(lines.contains("cleanup_timed_out"), "{lines}");
    drop(held);
}
