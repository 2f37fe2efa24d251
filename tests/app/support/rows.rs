//! Rows in an app's database.

use sqlx::any::AnyRow;
use sqlx::{Column, Row};
use twostep::models::rate_limit::{RateLimit, take, usage};

use super::TestApp;
use super::database::{on_postgresql, table_names};

impl TestApp {
    /// Counts attempts against a limit.
    pub async fn fill(&self, limit: &RateLimit, subject: &str, times: usize) {
        let (buckets, now) = (limit.buckets(subject), self.state.clock.now());
        let mut connection = self.pool.acquire().await.unwrap();
        for _ in 0..times {
            let taken = take(&mut connection, &buckets, now).await;
            let _ = taken.unwrap().unwrap();
        }
    }

    /// The attempts that count against a limit, in its shortest window.
    pub async fn used(&self, limit: &RateLimit, subject: &str) -> i64 {
        let (buckets, now) = (limit.buckets(subject), self.state.clock.now());
        let mut connection = self.pool.acquire().await.unwrap();
        let used = usage(&mut connection, &buckets[..1], now).await;
        used.unwrap()[0].count
    }

    /// The same for the account with that name.
    pub async fn used_by(&self, limit: &RateLimit, username: &str) -> i64 {
        let id = self.user(username).await.id;
        self.used(limit, id.as_str()).await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) -> u64 {
        sqlx::query(sql)
            .execute(&self.pool)
            .await
            .unwrap()
            .rows_affected()
    }

    /// All tables as text, without the columns that every request changes. Refunding an attempt
    /// leaves a bucket with a count of 0, which is the same as none.
    pub async fn dump(&self) -> String {
        self.mail_settles().await;
        let tables = table_names(&self.pool).await;
        let mut lines = Vec::new();
        for table in tables.iter().filter(|it| *it != "_sqlx_migrations") {
            let sql = sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"));
            for row in sqlx::query(sql).fetch_all(&self.pool).await.unwrap() {
                let line = describe(table, &row);
                if !(table == "rate_limits" && line.contains("|count=0|")) {
                    lines.push(line);
                }
            }
        }
        lines.sort();
        lines.join("\n")
    }

    /// The database as bytes: see [`super::TestDatabase::contents`].
    pub async fn database_bytes(&self) -> Vec<u8> {
        self.database.contents(&self.pool).await
    }

    /// Creates a trigger that runs `sql` for each row of `event` ("AFTER DELETE ON sessions")
    /// if `condition` holds.
    pub async fn trigger(&self, name: &str, event: &str, condition: &str, sql: &str) {
        let sql = match on_postgresql() {
            false => {
                format!("CREATE TRIGGER {name} {event} WHEN {condition} BEGIN {sql}; END")
            }
            true => format!(
                "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF {condition} THEN {sql}; END IF; RETURN COALESCE(NEW, OLD); END $$; \
                 CREATE TRIGGER {name} {event} FOR EACH ROW EXECUTE FUNCTION {name}()"
            ),
        };
        self.run(sql).await;
    }

    /// Makes statements of `event` fail if `condition` holds.
    pub async fn break_when(&self, name: &str, event: &str, condition: &str) {
        let fails = "INSERT INTO activity (id) VALUES (NULL)";
        self.trigger(name, event, condition, fails).await;
    }

    pub async fn drop_trigger(&self, name: &str) {
        self.run(match on_postgresql() {
            false => format!("DROP TRIGGER {name}"),
            true => format!("DROP FUNCTION {name} CASCADE"),
        })
        .await;
    }

    async fn run(&self, sql: String) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

/// A row with the names of its columns.
fn describe(table: &str, row: &AnyRow) -> String {
    const VOLATILE: [&str; 3] = ["last_seen_at", "last_active_at", "idle_expires_at"];
    let mut line = format!("{table}|");
    for column in row.columns().iter().map(Column::name) {
        if !VOLATILE.contains(&column) {
            let number = row.try_get::<Option<i64>, _>(column);
            let number = number.map(|it| it.map(|it| it.to_string()));
            let value = number.or_else(|_| row.try_get::<Option<String>, _>(column));
            let value = value.unwrap().unwrap_or_else(|| "NULL".to_owned());
            line += &format!("{column}={value}|");
        }
    }
    line
}
