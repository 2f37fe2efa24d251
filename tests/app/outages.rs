//! A database that cannot work for a while: what people see, that it passes by itself,
//! and that nothing is lost.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::logs;
use crate::support::program::Program;
use crate::support::scratch::{Scratch, execute};
use crate::support::{Browser, PASSWORD, PATIENCE, Page, TestApp};

/// The page that asks to try again in a moment.
#[track_caller]
fn is_put_off(page: &Page) {
    assert_eq!(page.status, 503, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some("5"));
    assert_eq!(page.first("h1").as_deref(), Some("Too busy"));
}

/// Waits until `/readyz` says so: what it found stands for a second.
async fn ready_becomes(browser: &Browser, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    while browser.get("/readyz").await.status != status {
        assert!(Instant::now() < deadline, "/readyz never says {status}");
        tokio::task::yield_now().await;
    }
}

/// The same of an app whose clock stands still.
async fn ready_is(app: &TestApp, status: u16) {
    app.advance(1);
    assert_eq!(app.browser().get("/readyz").await.status, status);
}

async fn register(browser: &Browser, name: &str) -> Page {
    let email = format!("{name}@example.com");
    browser.register(name, &email, PASSWORD).await
}

/// Puts an end to writing to files by the program, the log's too, or allows it again.
/// That is what a full disk is to it, and needs no other user's rights.
fn limit_files(program: &Program, bytes: &str) {
    let (process, limit) = (program.id().to_string(), format!("--fsize={bytes}:"));
    let done = Command::new("prlimit")
        .args(["--pid", &process, &limit])
        .status();
    assert!(done.unwrap().success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_puts_off_what_writes_and_loses_nothing() {
    let program = Program::start(&[]);
    let (alice, guest) = (program.browser(), program.browser());
    register(&alice, "alice").await.redirects_to("/login");
    alice.log_in("alice", PASSWORD).await.redirects_to("/home");
    ready_becomes(&guest, 200).await;

    limit_files(&program, "0");
    is_put_off(&register(&guest, "bob").await);
    is_put_off(&program.browser().log_in("alice", PASSWORD).await);
    let about_me = [("username", "alice"), ("about_me", "never written")];
    is_put_off(&alice.post("/edit_profile", &about_me).await);
    ready_becomes(&guest, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);
    assert_eq!(guest.get("/login").await.status, 200);

    limit_files(&program, "unlimited");
    ready_becomes(&guest, 200).await;
    let page = alice.get("/user/alice").await; // the session is there
    assert!(page.status == 200 && !page.text().contains("never written"));
    register(&guest, "bob").await.redirects_to("/login"); // nothing of him was left
    // What is rolled back on a connection that met the full disk leaves no lock behind.
    for _ in 0..10 {
        assert_eq!(register(&program.browser(), "bob").await.status, 422);
    }
    guest.log_in("bob", PASSWORD).await.redirects_to("/home");
    program
        .browser()
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/home");
}

/// After a boot the database may come last: a supervisor tries again then.
#[tokio::test]
async fn a_start_without_its_database_says_why_and_is_no_wrong_setting() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_twostep"))
        .env_clear()
        .env("PORT", "0")
        .env(
            "DATABASE_URL",
            format!("postgres://u:hunter2@{address}/app"),
        )
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let start = "twostep: DATABASE_URL: the database cannot be opened: ";
    assert!(said.starts_with(start), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    assert!(
        !said.contains("hunter2") && said.lines().count() == 1,
        "{said}"
    );
}

/// A fault that does not pass by itself is nothing to be tried again.
#[tokio::test]
async fn a_broken_table_is_an_error_and_told_as_one() {
    logs::keep();
    let app = TestApp::start().await;
    let alice = app.signed_in("alice").await;
    for (name, event) in [
        ("broken", "BEFORE INSERT ON sessions"),
        ("broken_too", "BEFORE UPDATE ON sessions"),
    ] {
        app.break_when(name, event, "1 = 1").await;
    }
    logs::take();
    let pages = [
        register(&app.browser(), "bob").await, // a session is made
        alice.post("/disable_2fa", &[]).await, // a session is written to
        app.browser().log_in("alice", PASSWORD).await,
    ];
    let lines = logs::take();
    let told = lines.iter().filter(|it| it.contains("event=\"error\""));
    let told: Vec<_> = told.collect();
    for page in &pages {
        assert_eq!(page.status, 500, "{}", page.text());
        assert_eq!(page.header("retry-after"), None);
    }
    assert_eq!(told.len(), pages.len(), "{lines:?}");
    for line in told {
        assert_eq!(line.matches("activity").count(), 1, "{line}");
    }
}

#[tokio::test]
async fn a_locked_database_puts_off_what_writes_and_loses_nothing() {
    let app = TestApp::on_sqlite().await;
    let (alice, guest) = (app.signed_in("alice").await, app.browser());
    ready_is(&app, 200).await;

    // Every connection waits for a lock as briefly as it can.
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

    is_put_off(&register(&guest, "bob").await);
    is_put_off(&guest.log_in("alice", PASSWORD).await);
    is_put_off(&alice.post("/disable_2fa", &[]).await); // writes to the session alone
    ready_is(&app, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);

    other.close().await.unwrap();
    ready_is(&app, 200).await;
    assert_eq!(alice.get("/home").await.status, 200);
    register(&guest, "bob").await.redirects_to("/login");
    guest.log_in("bob", PASSWORD).await.redirects_to("/home");
}

/// Stands between the app and PostgreSQL.
struct Line {
    address: SocketAddr,
    server: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Line {
    async fn new(server: SocketAddr) -> Self {
        let mut line = Self {
            address: ([127, 0, 0, 1], 0).into(),
            server,
            accepting: None,
            open: Arc::default(),
        };
        line.mend().await;
        line
    }

    /// Lets connections through, at the address that it had before.
    async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (server, open) = (self.server, self.open.clone());
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let through = tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                open.lock().unwrap().push(through);
            }
        }));
    }

    /// Ends all connections, and refuses others.
    async fn cut(&mut self) {
        let accepting = self.accepting.take().unwrap();
        accepting.abort();
        let _ = accepting.await;
        let open = std::mem::take(&mut *self.open.lock().unwrap());
        for through in open {
            through.abort();
            let _ = through.await;
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_lost_connection_puts_off_everything_and_loses_nothing() {
    let scratch = Scratch::new().await;
    let mut url = scratch.url();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap_or(5432));
    let server = tokio::net::lookup_host((host, port)).await.unwrap().next();
    let mut line = Line::new(server.unwrap()).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(line.address.port())).unwrap();
    let app = TestApp::with(&[("DATABASE_URL", url.as_str())]).await;
    let (alice, guest) = (app.signed_in("alice").await, app.browser());
    ready_is(&app, 200).await;

    line.cut().await;
    let (home, bob) = tokio::join!(alice.get("/home"), register(&guest, "bob"));
    is_put_off(&home);
    is_put_off(&bob);
    ready_is(&app, 503).await;
    assert_eq!(guest.get("/healthz").await.status, 200);

    line.mend().await;
    ready_is(&app, 200).await;
    assert_eq!(alice.get("/home").await.status, 200);
    register(&guest, "bob").await.redirects_to("/login");
    guest.log_in("bob", PASSWORD).await.redirects_to("/home");
    // Mail that was asked for before and after is sent by the same worker.
    let fields = [("email", "bob@example.com")];
    let page = app.browser().post("/reset_password_request", &fields).await;
    page.redirects_to("/login");
    assert_eq!(app.next_mail().await.to, "bob@example.com");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: .ci/postgres"]
async fn a_server_that_ends_all_connections_is_not_noticed() {
    let scratch = Scratch::new().await;
    let app = TestApp::with(&[("DATABASE_URL", scratch.url().as_str())]).await;
    let alice = app.signed_in("alice").await;
    for _ in 0..3 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        execute(&scratch.url(), end.to_owned()).await;
        assert_eq!(alice.get("/home").await.status, 200);
        assert_eq!(alice.get("/security").await.status, 200);
    }
}
