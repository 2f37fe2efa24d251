//! `cargo bench --bench attack`: how long users wait for their login while others attack the
//! program, as a ratio to calm. It fails where a user is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its result"
)]

mod floods;
#[path = "../support/mod.rs"]
mod support;
mod users;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use floods::Flood;
use support::options::Options;
use support::report::{self, time};
use support::seed;
use support::site::{Server, Site};
use tokio::runtime::Runtime;
use twostep::services::clock::Clock;
use users::Logins;

/// The effect of an attack on users' logins.
struct Row {
    what: &'static str,
    calm: Logins,
    attacked: Logins,
    /// The answers that the attackers got, by status.
    answers: BTreeMap<u16, u64>,
    lasting: Duration,
}

fn main() -> ExitCode {
    let options = Options::read();
    let (rounds, seconds) = if options.short { (1, 4) } else { (4, 10) };
    let lasting = Duration::from_secs(seconds);
    println!("{}", report::machine());

    let runtime = Runtime::new().expect("no runtime");
    let site = Site::new(&runtime);
    let now = Clock::system().now();
    runtime.block_on(async {
        seed::fill(&site.database, 0, users::ACCOUNTS, now).await;
        seed::fill(&site.database, floods::FIRST, floods::ACCOUNTS, now).await;
    });
    let server = site.serve();
    users::log_in(server.address, 0, Duration::from_secs(1)); // to warm up

    let mut rows: Vec<Row> = Vec::new();
    for round in 0..rounds {
        for (number, flood) in floods::all(&runtime, &site, round).into_iter().enumerate() {
            let row = measure(&server, flood, lasting);
            match rows.get_mut(number) {
                Some(sum) => sum.add(row),
                None => rows.push(row),
            }
        }
    }
    let table = format!("{}\n{}\n", table(&rows), report::machine());
    println!("\n{table}");
    report::write("attack.md", &table);
    let is_refused = |row: &Row| row.calm.refused + row.attacked.refused > 0;
    match rows.iter().any(is_refused) {
        true => {
            println!("Users were refused.");
            ExitCode::FAILURE
        }
        false => ExitCode::SUCCESS,
    }
}

/// Users log in, in calm and then while the flood lasts.
fn measure(server: &Server, flood: Flood, lasting: Duration) -> Row {
    let (address, what) = (server.address, flood.what);
    let calm = users::log_in(address, floods::QUIET, lasting);
    let is_over = Arc::new(AtomicBool::new(false));
    let (attacked, answers) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood.run(address, &is_over));
        let attacked = users::log_in(address, 0, lasting);
        is_over.store(true, Ordering::Relaxed);
        (attacked, flood.join().expect("the flood failed"))
    });
    let row = Row {
        what,
        calm,
        attacked,
        answers,
        lasting,
    };
    println!("{what}: p50 is {:.1} times as long", row.ratio(0.5));
    row
}

impl Row {
    fn add(&mut self, other: Self) {
        self.calm.add(&other.calm);
        self.attacked.add(&other.attacked);
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.lasting += other.lasting;
    }

    /// How many times as long this part of the logins takes as in calm.
    fn ratio(&self, part: f64) -> f64 {
        let within = |logins: &Logins| logins.times.within(part).as_secs_f64();
        within(&self.attacked) / within(&self.calm)
    }

    /// `429: 1200 a second`, for each status.
    fn answers(&self) -> String {
        let mut text = String::new();
        for (status, count) in &self.answers {
            let rate = *count as f64 / self.lasting.as_secs_f64();
            let _ = write!(text, "{status}: {rate:.1}, ");
        }
        text.trim_end_matches(", ").to_owned()
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "| attack | its answers a second | users' logins | p50 | p99 | p50 to calm \
         | p99 to calm | refused |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
            row.what,
            row.answers(),
            row.attacked.count,
            time(row.attacked.times.within(0.5)),
            time(row.attacked.times.within(0.99)),
            row.ratio(0.5),
            row.ratio(0.99),
            row.attacked.refused,
        );
    }
    text
}
