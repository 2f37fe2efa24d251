//! `cargo bench --bench growth`: whether the app is as fast with a million accounts and
//! sessions as with a thousand, and how much the purge delays requests.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its result"
)]

mod purge;
mod sizes;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::options::Options;
use support::site::{Server, Site};
use support::{report, seed};
use tokio::runtime::Runtime;
use twostep::services::clock::Clock;

/// A site with this number of accounts and of sessions.
struct Sized {
    users: u64,
    site: Site,
    server: Server,
}

fn main() {
    let options = Options::read();
    let (sizes, expired, rounds, millis) = match options.short {
        true => ([1_000, 10_000, 50_000], 20_000, 5, 200),
        false => ([1_000, 100_000, 1_000_000], 500_000, 25, 200),
    };
    println!("{}", report::machine());
    let runtime = Runtime::new().expect("no runtime");
    let sites = sizes.map(|users| filled(&runtime, users));
    let table = sizes::measure(&runtime, &sites, rounds, Duration::from_millis(millis));
    println!("{table}");
    let [.., largest] = sites;
    let purge = purge::measure(&runtime, largest, expired);
    println!("{purge}");
    let text = format!("{table}\n{purge}\n\n{}\n", report::machine());
    report::write("growth.md", &text);
}

fn filled(runtime: &Runtime, users: u64) -> Sized {
    let (begun, site) = (Instant::now(), Site::new(runtime));
    runtime.block_on(seed::fill(&site.database, 0, users, Clock::system().now()));
    println!("{users} accounts and sessions in {:.0?}", begun.elapsed());
    let server = site.serve();
    Sized {
        users,
        site,
        server,
    }
}
