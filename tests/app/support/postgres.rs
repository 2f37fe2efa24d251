//! Schemas in the PostgreSQL database that `TEST_DATABASE_URL` names, one a test: a
//! database each takes ten times as long to make and to remove, so only what is about
//! whole databases has one.
//!
//! One connection makes and removes them all, in a thread of its own, since a test's
//! runtime ends with the test. A run holds a lock in the database as long as it lives,
//! and its schemas and databases bear its number: so whatever a run that was killed has
//! left behind, the next one finds and removes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, mpsc};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::oneshot;
use url::Url;

/// What the names of all schemas of tests begin with.
const SCHEMAS: &str = "twostep_test_";

/// And those of all databases of tests.
const DATABASES: &str = "twostep_scratch_";

/// Tells the locks of runs from what else is locked in the database.
const LOCKS: i32 = 0x7e57;

static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| {
    #[allow(clippy::disallowed_methods)] // no setting of the app
    let url = std::env::var("TEST_DATABASE_URL").ok()?;
    Some(Server::connect(url.parse().expect("TEST_DATABASE_URL")))
});

/// Where the tests' schemas are; none where they are files.
pub fn server() -> Option<&'static Server> {
    SERVER.as_ref()
}

/// A schema, and the URL whose connections see no other.
pub struct Schema {
    name: String,
    pub url: Url,
}

pub struct Server {
    pub url: Url,
    /// The number of this run.
    run: i32,
    made: AtomicUsize,
    orders: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

impl Server {
    fn connect(url: Url) -> Self {
        let run = i32::from_ne_bytes(rand_bytes()) & i32::MAX;
        let (orders, ordered) = mpsc::channel();
        let address = url.to_string();
        std::thread::spawn(move || work(&address, run, &ordered));
        Self {
            url,
            run,
            made: AtomicUsize::new(0),
            orders,
        }
    }

    /// Makes a schema without tables, and says how to use it as if there were no other.
    pub async fn create(&self) -> Schema {
        let name = self.make("SCHEMA", SCHEMAS).await;
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("options[search_path]", &name)
            .append_pair("application_name", &name);
        Schema { name, url }
    }

    /// Removes a schema, whoever uses it still.
    pub fn remove(&self, schema: &Schema) {
        let name = &schema.name;
        self.remove_by(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{name}'; DROP SCHEMA {name} CASCADE"
        ));
    }

    /// Makes an empty database, and returns its name.
    pub async fn create_database(&self) -> String {
        self.make("DATABASE", DATABASES).await
    }

    /// Removes a database, whoever uses it still.
    pub fn remove_database(&self, name: &str) {
        self.remove_by(format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    async fn make(&self, what: &str, prefix: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let name = format!("{prefix}{}_{number}", self.run);
        let done = self.order(format!("CREATE {what} {name}"));
        done.await.expect("TEST_DATABASE_URL cannot be used");
        name
    }

    fn remove_by(&self, sql: String) {
        let done = self.order(sql);
        // The test's thread waits, since the process may end with it.
        let _ = std::thread::spawn(|| done.blocking_recv()).join();
    }

    fn order(&self, sql: String) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        let _ = self.orders.send((sql, done));
        is_done
    }
}

fn rand_bytes() -> [u8; 4] {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn work(url: &str, run: i32, orders: &mpsc::Receiver<(String, oneshot::Sender<()>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut server = PgConnection::connect(url).await.unwrap();
        assert!(lock(&mut server, run).await, "two runs have one number");
        remove_leftovers(&mut server, run).await;
        while let Ok((sql, done)) = orders.recv() {
            let text = sql.clone();
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await {
                Ok(_) => drop(done.send(())),
                // Whoever waits for it fails; the other tests go on.
                Err(error) => eprintln!("{text}: {error}"),
            }
        }
    });
}

/// Takes the lock of a run, unless that run lives still.
async fn lock(server: &mut PgConnection, run: i32) -> bool {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
        .bind(LOCKS)
        .bind(run)
        .fetch_one(server)
        .await
        .unwrap()
}

async fn remove_leftovers(server: &mut PgConnection, own: i32) {
    for (prefix, find, what, force) in [
        (
            SCHEMAS,
            "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE $1",
            "SCHEMA",
            "CASCADE",
        ),
        (
            DATABASES,
            "SELECT datname::text FROM pg_database WHERE datname LIKE $1",
            "DATABASE",
            "WITH (FORCE)",
        ),
    ] {
        let names: Vec<String> = sqlx::query_scalar(find)
            .bind(format!("{prefix}%"))
            .fetch_all(&mut *server)
            .await
            .unwrap();
        for name in names {
            let run = name.trim_start_matches(prefix).split('_').next();
            let Some(run) = run.and_then(|run| run.parse::<i32>().ok()) else {
                continue;
            };
            if run == own || !lock(server, run).await {
                continue;
            }
            let sql = format!("DROP {what} IF EXISTS {name} {force}");
            // Another run may be about to do the same.
            let _ = sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut *server)
                .await;
        }
    }
}
