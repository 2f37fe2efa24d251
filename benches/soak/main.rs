//! `cargo bench --bench soak -- --seconds 600`: 200 people register, log in, switch the
//! second step on, edit their profile and log out, again and again. Each answer is what
//! this person should see, nobody ever sees somebody else, nothing is a 5xx, and the
//! server's memory stays where it is.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and prints what it found"
)]

mod person;
#[path = "../support/mod.rs"]
mod support;

use std::rc::Rc;
use std::time::{Duration, Instant};

use person::Person;
use support::load;
use support::options::Options;
use support::report;
use support::site::{Server, Site};
use tokio::runtime::Runtime;

/// People at once.
const PEOPLE: u64 = 200;

/// By then every one has been through it once, and every buffer is there.
const WARM_UP: f64 = 0.4;

/// MiB by which the memory may differ afterwards.
const TOLERANCE: f64 = 4.0;

fn main() {
    let options = Options::read();
    let seconds = if options.short { 20 } else { options.seconds };
    let lasting = Duration::from_secs(seconds);
    let runtime = Runtime::new().expect("no runtime");
    let site = Rc::new(Site::new(&runtime));
    let server = site.serve();

    let (journeys, answers, memory) = load::run(people(Rc::clone(&site), &server, lasting));
    let (warm, end) = (memory[0], memory[memory.len() - 1]);
    let report = format!(
        "In {seconds} s {PEOPLE} people went {journeys} whole ways from registering to the last \
         log-out, in {answers} answers, each of which was right. Memory, without the mapped \
         database: {warm:.1} MiB after the first part, {end:.1} MiB at the end; with it {:.1}.\n\n{}\n",
        server.memory().0,
        report::machine()
    );
    println!("\n{report}");
    report::write("soak.md", &report);
    assert!(end < warm + TOLERANCE, "memory grows: {memory:.1?} MiB");
}

/// Lets them go their ways. Returns how many whole ones there were, how many answers, and
/// the server's memory every second after the warm-up.
async fn people(site: Rc<Site>, server: &Server, lasting: Duration) -> (u64, u64, Vec<f64>) {
    let started = Instant::now();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let (site, address) = (Rc::clone(&site), server.address);
        people.push(tokio::task::spawn_local(async move {
            let (mut journeys, mut answers) = (0, 0);
            // Not all at once.
            tokio::time::sleep(person::PAUSE * u32::try_from(number % 16).unwrap_or(0)).await;
            while started.elapsed() < lasting {
                let mut person = Person::new(&site, address, number + PEOPLE * journeys).await;
                person.whole_way().await;
                journeys += 1;
                answers += person.answers;
            }
            (journeys, answers)
        }));
    }
    tokio::time::sleep(lasting.mul_f64(WARM_UP)).await;
    let mut memory = vec![server.own_memory()];
    while started.elapsed() < lasting {
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory.push(server.own_memory());
        assert!(
            people
                .iter()
                .all(|it| !it.is_finished() || started.elapsed() >= lasting)
        );
    }
    let (mut journeys, mut answers) = (0, 0);
    for person in people {
        let (whole, of_person) = person.await.expect("somebody saw what they should not");
        journeys += whole;
        answers += of_person;
    }
    (journeys, answers, memory)
}
