//! `cargo bench --bench soak -- --seconds 600`: 200 users register, log in, turn on two-factor
//! authentication, edit their profile and log out, repeatedly. It checks that each response is
//! right, shows no other user, and is no 5xx, and that the server's memory doesn't grow.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its result"
)]

#[path = "../support/mod.rs"]
mod support;
mod user;

use std::rc::Rc;
use std::time::{Duration, Instant};

use support::load;
use support::options::Options;
use support::report;
use support::site::{Server, Site};
use tokio::runtime::Runtime;
use user::User;

/// Users at the same time.
const USERS: u64 = 200;

/// The part of the time after which every buffer is allocated.
const WARM_UP: f64 = 0.4;

/// How many MiB the memory may grow afterwards.
const TOLERANCE: f64 = 4.0;

fn main() {
    let options = Options::read();
    let seconds = if options.short { 20 } else { options.seconds };
    let lasting = Duration::from_secs(seconds);
    let runtime = Runtime::new().expect("no runtime");
    let site = Rc::new(Site::new(&runtime));
    let server = site.serve();

    let (journeys, answers, memory) = load::run(users(Rc::clone(&site), &server, lasting));
    let (warm, end) = (memory[0], memory[memory.len() - 1]);
    let report = format!(
        "In {seconds} s {USERS} users made {journeys} journeys from registration to the last \
         log-out, with {answers} correct answers. Memory, without the mapped \
         database: {warm:.1} MiB after the first part, {end:.1} MiB at the end; with it {:.1}.\n\n{}\n",
        server.memory().0,
        report::machine()
    );
    println!("\n{report}");
    report::write("soak.md", &report);
    assert!(end < warm + TOLERANCE, "memory grows: {memory:.1?} MiB");
}

/// Runs all users. Returns the number of journeys and of answers, and the server's memory for
/// every second after the warm-up.
async fn users(site: Rc<Site>, server: &Server, lasting: Duration) -> (u64, u64, Vec<f64>) {
    let started = Instant::now();
    let mut users = Vec::new();
    for number in 0..USERS {
        let (site, address) = (Rc::clone(&site), server.address);
        users.push(tokio::task::spawn_local(async move {
            let (mut journeys, mut answers) = (0, 0);
            // They start at different times.
            tokio::time::sleep(user::PAUSE * u32::try_from(number % 16).unwrap_or(0)).await;
            while started.elapsed() < lasting {
                let mut user = User::new(&site, address, number + USERS * journeys).await;
                user.complete_journey().await;
                journeys += 1;
                answers += user.answers;
            }
            (journeys, answers)
        }));
    }
    tokio::time::sleep(lasting.mul_f64(WARM_UP)).await;
    let mut memory = vec![server.anonymous_memory()];
    while started.elapsed() < lasting {
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory.push(server.anonymous_memory());
        assert!(
            users
                .iter()
                .all(|it| !it.is_finished() || started.elapsed() >= lasting)
        );
    }
    let (mut journeys, mut answers) = (0, 0);
    for user in users {
        let (whole, responses) = user.await.expect("a response was wrong");
        journeys += whole;
        answers += responses;
    }
    (journeys, answers, memory)
}
