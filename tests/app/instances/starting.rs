//! Instances that start together.

use super::{Instances, starting};
use crate::support::program::Starting;
use crate::support::{PASSWORD, TestDatabase};

/// [`Instances::start`] does that too, once a test.
#[tokio::test]
async fn on_an_empty_database_all_of_them_start_and_it_is_migrated_once() {
    for _ in 0..3 {
        let database = TestDatabase::new().await;
        let variables = [
            ("RUST_LOG", "error".to_owned()),
            ("DATABASE_URL", database.url()),
        ];
        let starting: Vec<Starting> = (0..4).map(|_| starting(&variables)).collect();
        let servers: Vec<_> = starting.into_iter().map(Starting::serving).collect();
        assert_eq!(servers.len(), 4);
        let rows = database.open().await;
        let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
            .fetch_all(&rows)
            .await
            .unwrap();
        let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
        assert_eq!(versions.len(), all.unwrap().count());
        rows.close().await;
    }
}

#[tokio::test]
async fn a_new_instance_beside_those_that_serve_disturbs_nobody() {
    let mut instances = Instances::start().await;
    let alice = instances.signed_in("alice").await;
    for number in [0, 1] {
        instances.replace(number);
        assert!(alice.is_logged_in().await && alice.is_logged_in().await);
    }
    let page = instances.browser().log_in("alice", PASSWORD).await;
    page.redirects_to("/home");
}
