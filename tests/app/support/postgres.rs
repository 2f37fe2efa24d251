//! A schema for each test in the PostgreSQL database that `TEST_DATABASE_URL` names. Creating a
//! database takes ten times as long, so only tests of whole databases do it.
//!
//! One connection in a separate thread creates and drops them, since the runtime of a test
//! ends with the test. `.ci/postgres` starts a server for one run, so nothing else cleans up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, mpsc};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::oneshot;
use url::Url;

static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "not a setting of the app")]
    let url = std::env::var("TEST_DATABASE_URL").ok()?;
    Some(Server::connect(url.parse().expect("TEST_DATABASE_URL")))
});

/// The server, or `None` if the tests use SQLite.
pub fn server() -> Option<&'static Server> {
    SERVER.as_ref()
}

/// A schema, and a URL whose connections see only that schema.
pub struct Schema {
    name: String,
    pub url: Url,
}

pub struct Server {
    pub url: Url,
    /// A random number, since other runs may use the same database.
    run: u32,
    created: AtomicUsize,
    jobs: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

impl Server {
    fn connect(url: Url) -> Self {
        let mut run = [0; 4];
        getrandom::fill(&mut run).unwrap();
        let (jobs, queue) = mpsc::channel();
        let address = url.to_string();
        std::thread::spawn(move || work(&address, &queue));
        Self {
            url,
            run: u32::from_ne_bytes(run),
            created: AtomicUsize::new(0),
            jobs,
        }
    }

    /// Creates a schema without tables.
    pub async fn create(&self) -> Schema {
        let name = self.create_numbered("SCHEMA", "twostep_test").await;
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("options[search_path]", &name)
            .append_pair("application_name", &name);
        Schema { name, url }
    }

    /// Drops a schema and the connections that use it.
    pub fn remove(&self, schema: &Schema) {
        let name = &schema.name;
        self.execute_and_wait(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{name}'; DROP SCHEMA {name} CASCADE"
        ));
    }

    /// Creates an empty database and returns its name.
    pub async fn create_database(&self) -> String {
        self.create_numbered("DATABASE", "twostep_scratch").await
    }

    /// Drops a database and the connections that use it.
    pub fn remove_database(&self, name: &str) {
        self.execute_and_wait(format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    async fn create_numbered(&self, kind: &str, prefix: &str) -> String {
        let number = self.created.fetch_add(1, Ordering::SeqCst);
        let name = format!("{prefix}_{}_{number}", self.run);
        let done = self.execute(format!("CREATE {kind} {name}"));
        done.await.expect("TEST_DATABASE_URL cannot be used");
        name
    }

    fn execute_and_wait(&self, sql: String) {
        let done = self.execute(sql);
        // The test waits, since the process may end with it.
        let _ = std::thread::spawn(|| done.blocking_recv()).join();
    }

    fn execute(&self, sql: String) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        let _ = self.jobs.send((sql, done));
        is_done
    }
}

fn work(url: &str, queue: &mpsc::Receiver<(String, oneshot::Sender<()>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut server = PgConnection::connect(url).await.unwrap();
        while let Ok((sql, done)) = queue.recv() {
            let text = sql.clone();
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await {
                Ok(_) => drop(done.send(())),
                // Only the test that waits for it fails.
                Err(error) => eprintln!("{text}: {error}"),
            }
        }
    });
}
