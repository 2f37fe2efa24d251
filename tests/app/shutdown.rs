//! The end of the program: real processes, real signals.

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
use crate::support::program::Program;
use crate::support::smtp::{Fault, SmtpServer, Tls};
use crate::support::{
    Browser, NOW, PASSWORD, PATIENCE, PHONE, TWILIO_TIMEOUT, TestDatabase, until,
};

const SID: &str = "VE0123456789abcdef0123456789abcdef";

/// A Twilio that sends a code when the test lets it. Every code is right.
#[derive(Clone)]
struct Gate {
    arrived: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

async fn send(State(gate): State<Gate>) -> (StatusCode, String) {
    gate.arrived.add_permits(1);
    gate.answers.acquire().await.unwrap().forget();
    (StatusCode::CREATED, verification("pending"))
}

fn verification(status: &str) -> String {
    json!({ "sid": SID, "to": PHONE, "status": status }).to_string()
}

/// The program with such a Twilio, and an account whose log-in needs a code.
async fn start() -> (Program, Gate) {
    let gate = Gate {
        arrived: Arc::new(Semaphore::new(0)),
        answers: Arc::new(Semaphore::new(1)),
    };
    let service = "/v2/Services/{service}";
    let approve = || async { verification("approved") };
    let router = Router::new()
        .route(&format!("{service}/Verifications"), post(send))
        .route(&format!("{service}/VerificationCheck"), post(approve))
        .with_state(gate.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let (account, service) = (
        format!("AC{}", "a".repeat(32)),
        format!("VA{}", "b".repeat(32)),
    );
    let program = Program::start(&[
        ("TWILIO_ACCOUNT_SID", &account),
        ("TWILIO_AUTH_TOKEN", "a-twilio-token"),
        ("TWILIO_VERIFY_SERVICE_ID", &service),
        ("TWILIO_VERIFY_BASE_URL", &url),
    ]);
    let browser = program.browser();
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await
        .redirects_to("/login");
    browser
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    assert_eq!(browser.verify("123456").await.status, 200);
    gate.arrived.acquire().await.unwrap().forget();
    (program, gate)
}

/// A log-in on a connection that is to be kept, as a browser keeps it.
async fn begin_log_in(program: &Program) -> TcpStream {
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

async fn is_closed(program: &Program) {
    while program.listens().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_code_that_is_being_sent_is_sent_and_its_log_in_answered() {
    for signal in ["TERM", "INT"] {
        let (mut program, gate) = start().await;
        let idle = TcpStream::connect(program.address).await.unwrap();
        let mut stream = begin_log_in(&program).await;
        gate.arrived.acquire().await.unwrap().forget();
        program.signal(signal);
        is_closed(&program).await;
        gate.answers.add_permits(1);
        let mut answer = String::new();
        // It reads to the end, so the program closes the connection. Whether it says so in
        // the answer depends on which of its tasks runs first.
        let reading = stream.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, reading)
            .await
            .unwrap()
            .unwrap();
        let answer = answer.to_lowercase();
        assert!(answer.starts_with("http/1.1 303 "), "{answer}");
        assert!(answer.contains("\r\nlocation: /verify_2fa\r\n"), "{answer}");
        assert_eq!(program.ended().await, Some(0), "{signal}");
        drop(idle);
        let events: Vec<String> = program
            .lines()
            .iter()
            .filter_map(|line| Some(line["event"].as_str()?.to_owned()))
            .collect();
        assert!(events.contains(&"stopping".to_owned()), "{events:?}");
        assert!(!events.contains(&"cut_off".to_owned()), "{events:?}");
    }
}

#[tokio::test]
async fn a_code_that_is_being_sent_is_written_down_though_its_asker_has_gone() {
    let (mut program, gate) = start().await;
    let stream = begin_log_in(&program).await;
    gate.arrived.acquire().await.unwrap().forget();
    drop(stream);
    until(|| program.lines().iter().any(|line| line["status"] == 499)).await;
    program.signal("TERM");
    is_closed(&program).await;
    gate.answers.add_permits(1);
    assert_eq!(program.ended().await, Some(0));
    let sent =
        "SELECT COUNT(*) FROM challenges WHERE purpose = 'login' AND provider_sid IS NOT NULL";
    assert_eq!(count(&program, sent).await, 1);
}

/// What the database that the program has left says.
async fn count(program: &Program, sql: &'static str) -> i64 {
    let file = program.folder.path().join("twostep.db");
    let database = twostep::models::connect(&format!("sqlite://{}", file.display())).await;
    let count = sqlx::query_scalar(sql).fetch_one(&database.unwrap()).await;
    count.unwrap()
}

/// The sum of what these metrics say.
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
async fn passwords_that_are_being_hashed_are_hashed() {
    let mut program = Program::start(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let metrics = program.lines().into_iter().find_map(|line| {
        let served = line["event"] == "metrics_served";
        served.then(|| line["address"].as_str().unwrap().parse().unwrap())
    });
    let metrics = Browser::new(metrics.unwrap());
    let browser = program.browser();
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await
        .redirects_to("/login");
    // More than most machines have cores, so that some wait for one.
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(begin_log_in(&program).await);
    }
    let under_way = [
        "twostep_hashes_running",
        "twostep_hashes_waiting",
        r#"twostep_requests_total{method="POST",route="/login",status="303"}"#,
    ];
    while sum(&metrics, &under_way).await < 8.0 {
        tokio::task::yield_now().await;
    }
    program.signal("TERM");
    for stream in &mut streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    }
    assert_eq!(program.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let (mut program, gate) = start().await;
        let mut stream = begin_log_in(&program).await;
        gate.arrived.acquire().await.unwrap().forget();
        program.signal("TERM");
        is_closed(&program).await;
        program.signal(second);
        assert_eq!(program.ended().await, Some(status));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_mail_in_hand_that_cannot_be_finished_is_left_for_the_next_start() {
    let server = SmtpServer::start(Tls::Never).await;
    server.misbehave("MAIL", Fault::Silence);
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let mut program = Program::start(&[("SMTP_URL", &url)]);
    let browser = program.browser();
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await
        .redirects_to("/login");
    let fields = [("email", "alice@example.com")];
    browser.post("/reset_password_request", &fields).await;
    until(|| server.commands().contains(&"MAIL".to_owned())).await;
    program.signal("TERM");
    is_closed(&program).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, Some(143));
    let waiting = count(&program, "SELECT COUNT(*) FROM outbox").await;
    assert_eq!((waiting, server.received().len()), (1, 0));
}

/// The database is held by something that never ends.
#[tokio::test]
async fn a_database_that_cannot_be_closed_delays_the_end_until_the_deadline_only() {
    logs::keep();
    let database = TestDatabase::new().await;
    let variables = HashMap::from([("DATABASE_URL".to_owned(), database.url())]);
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
        .expect("it waits without bound")
        .unwrap();
    let lines = logs::take().join("\n");
    assert!(lines.contains("cleanup_timed_out"), "{lines}");
    drop(held);
}
