//! `cargo bench --bench server`: the app and a bare axum server that returns the same
//! bytes, measured in turn by the same client; and logins against bare argon2id. Only
//! ratios are meaningful, since the machine may be busy.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its result"
)]

mod crowd;
mod log_in;
mod pages;
#[path = "../support/mod.rs"]
mod support;
mod verify;

use std::time::Duration;

use support::options::Options;
use support::site::Site;
use support::{report, seed};
use tokio::runtime::Runtime;
use twostep::services::clock::Clock;

/// Rounds, of which the median counts, and how long one lasts.
#[derive(Clone, Copy)]
struct Rounds {
    count: u64,
    time: Duration,
}

fn main() {
    let options = Options::read();
    let (count, millis) = if options.short { (5, 200) } else { (40, 200) };
    let time = Duration::from_millis(millis);
    let rounds = Rounds { count, time };

    let runtime = Runtime::new().expect("no runtime");
    let site = Site::new(&runtime);
    let now = Clock::system().now();
    runtime.block_on(seed::fill(&site.database, 0, 1000, now));
    println!("{}", report::machine());

    let server = site.serve();
    let mut rows = pages::measure(&runtime, &site, &server, rounds);
    rows.push(log_in::measure(&server, rounds));
    rows.push(verify::measure(&runtime, &site, &server, rounds));
    drop(server);

    let crowd = crowd::measure(&site, options.short);
    let table = format!(
        "{}\n{}\n\n{crowd}\n",
        report::table(&rows),
        report::machine()
    );
    println!("\n{table}");
    report::write("server.md", &table);
    report::write("server.svg", &report::chart(&rows));
}
