//! The migrations, on databases of earlier versions.

mod devices;
mod factors;
mod rate_limits;

use std::borrow::Cow;
use std::process::Command;

use sqlx::AnyPool;

use crate::support::TestDatabase;

/// Until this commit, migrations were edited, since no database had them yet.
const FIRST_FIXED: &str = "8725ed8b0ec3b61d1b6b523f27045cad375e0c23";

/// A database with the migrations before the one of `version`, as an earlier program made it.
async fn former_schema(version: i64) -> (TestDatabase, AnyPool) {
    let database = TestDatabase::new().await;
    sqlx::any::install_default_drivers();
    let url = match database.url() {
        url if url.starts_with("sqlite:") => url + "?mode=rwc",
        url => url,
    };
    let pool = AnyPool::connect(&url).await.unwrap();
    let mut migrator = sqlx::migrate!();
    let old = migrator.iter().filter(|it| it.version < version);
    migrator.migrations = Cow::Owned(old.cloned().collect());
    migrator.run(&pool).await.unwrap();
    (database, pool)
}

/// The output of git, or `None` if git, the repository or the commit is missing.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let is_success = output.status.success();
    is_success.then(|| String::from_utf8(output.stdout).unwrap())
}

/// A program refuses a database that an edited or removed migration has changed.
#[test]
fn no_commit_edits_or_removes_a_migration() {
    let range = format!("{FIRST_FIXED}..HEAD");
    for arguments in [
        &["log", "--format=", &range] as &[&str],
        &["diff", FIRST_FIXED],
        &["diff", "HEAD"],
    ] {
        let filter = [
            "--no-renames",
            "--diff-filter=a",
            "--name-only",
            "--",
            "migrations",
        ];
        // An archive of the source has no history, and a shallow clone only a part of it.
        if let Some(edited) = git(&[arguments, &filter].concat()) {
            assert_eq!(edited, "", "restore it and write a new migration instead");
        }
    }
}
