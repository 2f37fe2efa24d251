//! A database or a system that cannot work for a while: users see a temporary error, it goes
//! away on its own, and nothing is lost.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::logs;
use crate::support::program::Program;
use crate::support::scratch::{Scratch, execute};
use crate::support::{Browser, PASSWORD, PATIENCE, Page, TestApp, until};

/// Asserts that the page asks to try again in a moment.
#[track_caller]
pub fn assert_too_busy(page: &Page) {
    assert_eq!(page.status, 503, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some("5"));
    assert_eq!(page.first("h1").as_deref(), Some("Too busy"));
}

/// Waits until `/readyz` answers with a status: it reuses each result for a second.
async fn wait_for_readiness(browser: &Browser, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    while browser.get("/readyz").await.status != status {
        assert!(Instant::now() < deadline, "/readyz never becomes {status}");
        tokio::task::yield_now().await;
    }
}

/// Asserts the next result of `/readyz`.
pub async fn assert_readiness(app: &TestApp, status: u16) {
    app.advance(1);
    assert_eq!(app.browser().get("/readyz").await.status, status);
}

async fn register(browser: &Browser, name: &str) -> Page {
    let email = format!("{name}@example.com");
    browser.register(name, &email, PASSWORD).await
}

/// Sets a soft limit of a running program: `fsize`, `nofile`.
fn set_limit(program: &Program, name: &str, limit: &str) {
    let (process, limit) = (program.id().to_string(), format!("--{name}={limit}:"));
    let prlimit = Command::new("prlimit")
        .args(["--pid", &process, &limit])
        .status();
    assert!(prlimit.unwrap().success());
}

/// A limit of the size of files works like a full disk. It stops the log too.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_writes_fail_temporarily_and_loses_nothing() {
    let program = Program::start(&[]);
    let (alice, guest) = (program.browser(), program.browser());
    register(&alice, "alice").await.redirects_to("/login");
    alice.complete_login("alice").await;
    wait_for_readiness(&guest, 200).await;

    set_limit(&program, "fsize", "0");
    assert_too_busy(&register(&guest, "bob").await);
    assert_too_busy(&program.browser().log_in("alice", PASSWORD).await);
    let about_me = [("username", "alice"), ("about_me", "never written")];
    assert_too_busy(&alice.post("/edit_profile", &about_me).await);
    wait_for_readiness(&guest, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);
    assert_eq!(guest.get("/login").await.status, 200);

    set_limit(&program, "fsize", "unlimited");
    wait_for_readiness(&guest, 200).await;
    let page = alice.get("/user/alice").await; // the session still exists
    assert!(page.status == 200 && !page.text().contains("never written"));
    register(&guest, "bob").await.redirects_to("/login"); // nothing is left of the first try
    // Rollbacks on a connection that met the full disk leave no lock behind.
    for _ in 0..10 {
        assert_eq!(register(&program.browser(), "bob").await.status, 422);
    }
    guest.complete_login("bob").await;
    program
        .browser()
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn running_out_of_file_descriptors_is_logged_once_and_serving_goes_on_afterwards() {
    let program = Program::start(&[]);
    assert_eq!(program.browser().get("/login").await.status, 200);
    let in_use = std::fs::read_dir(format!("/proc/{}/fd", program.id()));
    let limit = in_use.unwrap().count() + 2;
    set_limit(&program, "nofile", &limit.to_string());
    let failures = || {
        let lines = program.lines();
        let failures = lines.iter().filter(|line| line["event"] == "accept_failed");
        failures.count()
    };
    for _ in 0..2 {
        let mut connections = Vec::new();
        for _ in 0..8 {
            connections.push(TcpStream::connect(program.address).await.unwrap());
        }
        until(|| failures() == 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await; // further attempts fail
        drop(connections);
        assert_eq!(program.browser().get("/login").await.status, 200);
    }
    assert_eq!(failures(), 1);
}

/// After a boot the database may start last. The supervisor then restarts the app.
#[tokio::test]
async fn a_start_without_the_database_exits_with_1_and_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_twostep"))
        .env_clear()
        .env("PORT", "0")
        .env(
            "DATABASE_URL",
            format!("postgres://u:hunter2@{address}/app"),
        )
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let start = "twostep: DATABASE_URL: the database cannot be opened: ";
    assert!(stderr.starts_with(start), "{stderr}");
    assert!(stderr.contains("Connection refused"), "{stderr}");
    assert!(
        !stderr.contains("hunter2") && stderr.lines().count() == 1,
        "{stderr}"
    );
}

/// It won't go away on its own, so users are not asked to try again.
#[tokio::test]
async fn a_broken_table_is_500_and_logged_with_its_cause() {
    logs::keep();
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    for (name, event) in [
        ("broken", "BEFORE INSERT ON sessions"),
        ("broken_too", "BEFORE UPDATE ON sessions"),
    ] {
        app.break_when(name, event, "1 = 1").await;
    }
    logs::take();
    let pages = [
        register(&app.browser(), "bob").await, // creates a session
        alice.post("/disable_2fa", &[]).await, // writes to the session
        app.browser().log_in("alice", PASSWORD).await,
    ];
    let lines = logs::take();
    let errors = lines.iter().filter(|it| it.contains("event=\"error\""));
    let errors: Vec<_> = errors.collect();
    for page in &pages {
        assert_eq!(page.status, 500, "{}", page.text());
        assert_eq!(page.header("retry-after"), None);
    }
    assert_eq!(errors.len(), pages.len(), "{lines:?}");
    for line in errors {
        assert_eq!(line.matches("activity").count(), 1, "{line}");
    }
}

#[tokio::test]
async fn a_locked_database_makes_writes_fail_temporarily_and_loses_nothing() {
    let app = TestApp::on_sqlite().await;
    let (alice, guest) = (app.register_and_log_in("alice").await, app.browser());
    assert_readiness(&app, 200).await;

    // All connections wait for locks as briefly as possible.
    let mut connections = Vec::new();
    for _ in 0..app.pool.options().get_max_connections() {
        connections.push(app.pool.acquire().await.unwrap());
    }
    for connection in &mut connections {
        let done = sqlx::query("PRAGMA busy_timeout = 1").execute(&mut **connection);
        done.await.unwrap();
    }
    drop(connections);
    let other: SqliteConnectOptions = app.database.url().parse().unwrap();
    let mut other = other.connect().await.unwrap();
    let lock = sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await;
    lock.unwrap();

    assert_too_busy(&register(&guest, "bob").await);
    assert_too_busy(&guest.log_in("alice", PASSWORD).await);
    assert_too_busy(&alice.post("/disable_2fa", &[]).await); // writes only to the session
    assert_readiness(&app, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);

    other.close().await.unwrap();
    assert_readiness(&app, 200).await;
    assert_eq!(alice.get("/home").await.status, 200);
    register(&guest, "bob").await.redirects_to("/login");
    guest.complete_login("bob").await;
}

/// A proxy between the app and PostgreSQL.
struct TcpProxy {
    address: SocketAddr,
    server: SocketAddr,
    task: JoinHandle<()>,
}

impl TcpProxy {
    async fn open_to(server: SocketAddr) -> Self {
        let mut proxy = Self {
            address: ([127, 0, 0, 1], 0).into(),
            server,
            task: tokio::spawn(async {}),
        };
        proxy.open().await;
        proxy
    }

    /// Accepts connections, each time at the same address.
    async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = self.server;
        self.task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    }

    /// Closes all connections, and refuses new ones.
    async fn cut(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_lost_connection_makes_requests_fail_temporarily_and_loses_nothing() {
    let scratch = Scratch::new().await;
    let mut url = scratch.url();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap_or(5432));
    let server = tokio::net::lookup_host((host, port)).await.unwrap().next();
    let mut proxy = TcpProxy::open_to(server.unwrap()).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    let app = TestApp::with(&[("DATABASE_URL", url.as_str())]).await;
    let (alice, guest) = (app.register_and_log_in("alice").await, app.browser());
    assert_readiness(&app, 200).await;

    proxy.cut().await;
    let (home, bob) = tokio::join!(alice.get("/home"), register(&guest, "bob"));
    assert_too_busy(&home);
    assert_too_busy(&bob);
    assert_readiness(&app, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);

    proxy.open().await;
    assert_readiness(&app, 200).await;
    assert_eq!(alice.get("/home").await.status, 200);
    register(&guest, "bob").await.redirects_to("/login");
    guest.complete_login("bob").await;
    // The email worker survived the outage.
    let fields = [("email", "bob@example.com")];
    let page = app.browser().post("/reset_password_request", &fields).await;
    page.redirects_to("/login");
    assert_eq!(app.next_mail().await.to, "bob@example.com");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn users_do_not_notice_that_the_server_closes_all_connections() {
    let scratch = Scratch::new().await;
    let app = TestApp::with(&[("DATABASE_URL", scratch.url().as_str())]).await;
    let alice = app.register_and_log_in("alice").await;
    for _ in 0..3 {
        let end = r"
            SELECT pg_terminate_backend(pid)
            FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        ";
        execute(&scratch.url(), end.to_owned()).await;
        assert_eq!(alice.get("/home").await.status, 200);
        assert_eq!(alice.get("/security").await.status, 200);
    }
}
