//! Copying everything from SQLite to PostgreSQL, and saying how much that was.

use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};

use super::Error;
use crate::config::Config;
use crate::models::copy_database::{Copied, copy};

pub(super) async fn run(from: &SecretString, to: &SecretString) -> Result<String, Error> {
    let from = Config::sqlite_url("FROM", from)?;
    let to = Config::postgresql_url("TO", to)?;
    let started = Instant::now();
    let copied = copy(from.expose_secret(), to.expose_secret()).await?;
    Ok(describe(&copied, started.elapsed().as_secs_f64()))
}

fn describe(copied: &[Copied], seconds: f64) -> String {
    let line = |it: &Copied| format!("{:>10}  {}\n", it.rows, it.table);
    let mut said: String = copied.iter().map(line).collect();
    let rows: u64 = copied.iter().map(|it| it.rows).sum();
    #[allow(clippy::cast_precision_loss)] // a rate for people to read
    let rate = rows as f64 / seconds.max(0.001);
    said += &format!(
        "{rows:>10}  rows in {seconds:.1} s, {rate:.0} a second. Both databases have the same number of each.\n"
    );
    said
}
