//! A PostgreSQL database for one test, on the server that `TEST_DATABASE_URL` names.

use data_encoding::HEXLOWER;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use url::Url;

/// An empty database of PostgreSQL's, which goes with the test.
pub struct Scratch {
    server: Url,
    name: String,
}

impl Scratch {
    /// None where there is no PostgreSQL at hand.
    #[allow(clippy::disallowed_methods)] // how a person says where the server is
    pub async fn new() -> Option<Self> {
        let server = std::env::var("TEST_DATABASE_URL").ok()?;
        let server: Url = server.parse().expect("TEST_DATABASE_URL is no URL");
        if server.scheme() == "sqlite" {
            return None;
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let name = format!("twostep_scratch_{}", HEXLOWER.encode(&random));
        execute(&server, format!("CREATE DATABASE {name}")).await;
        Some(Self { server, name })
    }

    /// Where it is.
    pub fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            runtime.block_on(execute(&server, drop));
        });
        let _ = dropping.join();
    }
}

/// Does something on a server of PostgreSQL's.
pub async fn execute(url: &Url, sql: String) {
    let options: PgConnectOptions = url.as_str().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
    done.await.unwrap();
    connection.close().await.unwrap();
}
