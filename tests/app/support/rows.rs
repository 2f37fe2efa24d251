//! Rows in an app's database.

use sqlx::Row;
use twostep::models::rate_limit::{RateLimit, take, usage};

use super::TestApp;
use super::database::on_postgresql;

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

    /// The database as text, without columns that every request changes.
    pub async fn dump(&self) -> String {
        self.mail_settles().await;
        let mut text = String::new();
        for sql in [
            "SELECT id || '|' || username || '|' || email || '|' || password_hash || '|' || \
             auth_version || '|' || COALESCE(verification_phone, '-') || '|' || about_me \
             || '|' || failed_logins || '|' || COALESCE(former_phone, '-') \
             FROM users ORDER BY id",
            "SELECT id || '|' || user_id || '|' || mail || '|' || attempts || '|' || \
             next_attempt_at FROM outbox ORDER BY id",
            "SELECT token_hash || '|' || user_id || '|' || purpose || '|' || \
             COALESCE(event, '-') || '|' || expires_at FROM mail_tokens ORDER BY token_hash",
            "SELECT id || '|' || token_hash || '|' || COALESCE(user_id, '-') || '|' || \
             COALESCE(challenge_id, '-') || '|' || COALESCE(authenticated_at, 0) || '|' || data \
             || '|' || expires_at FROM sessions ORDER BY id",
            "SELECT id || '|' || user_id || '|' || purpose || '|' || phone || '|' || \
             COALESCE(provider_sid, '-') || '|' || delivery || '|' || sends || '|' || checks \
             || '|' || COALESCE(outcome, '-') || '|' || COALESCE(next, '-') \
             FROM challenges ORDER BY id",
            "SELECT id || '|' || user_id || '|' || event FROM activity ORDER BY id",
            "SELECT key || '|' || count FROM rate_limits WHERE count > 0 ORDER BY key",
            "SELECT username_key || '|' || user_id FROM former_usernames ORDER BY username_key",
            "SELECT code_hash || '|' || user_id || '|' || COALESCE(used_at, 0) \
             FROM recovery_codes ORDER BY code_hash",
        ] {
            let rows = sqlx::query(sql).fetch_all(&self.pool).await.unwrap();
            for row in rows {
                text.push_str(&row.get::<String, _>(0));
                text.push('\n');
            }
        }
        text
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
