//! A PostgreSQL database for one test. The user in `TEST_DATABASE_URL` must be able to create
//! databases.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use url::Url;

use super::postgres::{self, Server};

/// An empty database. Dropping this value deletes it.
pub struct Scratch {
    server: &'static Server,
    name: String,
}

impl Scratch {
    pub async fn new() -> Self {
        let server = postgres::server().expect("TEST_DATABASE_URL names no PostgreSQL");
        let name = server.create_database().await;
        Self { server, name }
    }

    pub fn url(&self) -> Url {
        let mut url = self.server.url.clone();
        url.set_path(&self.name);
        url
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.server.remove_database(&self.name);
    }
}

/// Executes SQL on a PostgreSQL server.
pub async fn execute(url: &Url, sql: String) {
    let options: PgConnectOptions = url.as_str().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
    done.await.unwrap();
    connection.close().await.unwrap();
}
