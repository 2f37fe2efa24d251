//! Copying everything from SQLite to PostgreSQL.

use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};

use super::Error;
use crate::config::Config;
use crate::models::copy_database::{Copied, copy};

pub(super) async fn run(from: &SecretString, to: &SecretString) -> Result<String, Error> {
    let (from, to) = Config::sqlite_and_postgresql(from, to)?;
    let started = Instant::now();
    let copied = copy(from.expose_secret(), to.expose_secret()).await?;
    let seconds = started.elapsed().as_secs_f64();
    let line = |it: &Copied| format!("{:>10}  {}\n", it.rows, it.table);
    let tables: String = copied.iter().map(line).collect();
    let rows: i64 = copied.iter().map(|it| it.rows).sum();
    Ok(format!(
        "{tables}{rows:>10}  rows in {seconds:.1} s. Both databases have the same number of each.\n"
    ))
}
