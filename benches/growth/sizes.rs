//! The same work on small and large databases, in turn.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use twostep::models::user::User;
use twostep::services::clock::Clock;

use crate::Sized;
use crate::support::load::{self, CONNECTIONS, Requests, Stats};
use crate::support::report::time;
use crate::support::seed;

/// Sessions that are used, all over the table.
const SESSIONS: u64 = 512;

/// What is measured of each size.
struct Work {
    what: &'static str,
    /// Of each size, the rates of the rounds.
    rates: Vec<Vec<f64>>,
    times: Vec<Stats>,
}

pub fn measure(runtime: &Runtime, sites: &[Sized], rounds: u64, lasting: Duration) -> String {
    let cookies: Vec<_> = sites.iter().map(|it| cookies(runtime, it)).collect();
    let mut works = [
        Work::new("log-in lookup", sites),
        Work::new("own profile, signed in", sites),
        Work::new("listing sessions", sites),
        Work::new("registration", sites),
    ];
    for round in 0..=rounds {
        for (number, (it, cookies)) in sites.iter().zip(&cookies).enumerate() {
            let address = it.server.address;
            let profile = |name: &str| format!("/user/{name}");
            let security = |_: &str| "/security".to_owned();
            let stats = [
                runtime.block_on(lookups(it, lasting)),
                load::drive(address, pages(cookies, profile), 200, lasting),
                load::drive(address, pages(cookies, security), 200, lasting),
                load::drive(address, registrations(round), 303, 2 * lasting),
            ];
            // The first round is for warming up.
            for (work, stats) in works.iter_mut().zip(stats).filter(|_| round > 0) {
                work.rates[number].push(stats.rate());
                work.times[number].add(&stats);
            }
        }
    }
    table(&works, sites)
}

impl Work {
    fn new(what: &'static str, sites: &[Sized]) -> Self {
        Self {
            what,
            rates: vec![Vec::new(); sites.len()],
            times: sites.iter().map(|_| Stats::none()).collect(),
        }
    }

    /// The rate of a size as a part of the smallest one's: the median of the rounds.
    fn ratio(&self, number: usize) -> f64 {
        let rounds = self.rates[number].iter().zip(&self.rates[0]);
        let mut ratios: Vec<f64> = rounds.map(|(rate, small)| rate / small).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

fn table(works: &[Work], sites: &[Sized]) -> String {
    let mut text = String::from(
        "| | accounts and sessions | per second | p50 | p99 | ratio | wanted |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for work in works {
        for (number, (stats, it)) in work.times.iter().zip(sites).enumerate() {
            let is_wanted = work.what.starts_with("own profile") && number == 2;
            text += &format!(
                "| {} | {} | {:.0} | {} | {} | {:.2} | {} |\n",
                work.what,
                it.people,
                stats.rate(),
                time(stats.within(0.5)),
                time(stats.within(0.99)),
                work.ratio(number),
                if is_wanted { "0.90" } else { "" },
            );
        }
    }
    text
}

/// Names and cookies of people all over the tables.
fn cookies(runtime: &Runtime, it: &Sized) -> Vec<(String, String)> {
    let now = Clock::system().now();
    let numbers = (0..SESSIONS).map(|number| spread(number, it.people));
    numbers
        .map(|number| {
            let cookie = runtime.block_on(seed::log_in(&it.site.database, number, now));
            (seed::name(number), cookie)
        })
        .collect()
}

/// Steps by a prime, so that neighbours in time are none in the table.
fn spread(number: u64, people: u64) -> u64 {
    number * 7919 % people
}

/// Each connection asks as one person after the other.
fn pages(people: &[(String, String)], path: impl Fn(&str) -> String) -> Vec<Requests> {
    let requests = people.iter().map(|(name, cookie)| {
        let request = load::get(&path(name), cookie);
        Rc::from(request.as_bytes())
    });
    let requests: Vec<Rc<[u8]>> = requests.collect();
    let shares = requests.chunks(requests.len() / CONNECTIONS);
    shares
        .map(|share| Box::new(Vec::from(share).into_iter().cycle()) as Requests)
        .collect()
}

fn registrations(round: u64) -> Vec<Requests> {
    let password = seed::PASSWORD.replace(' ', "+");
    let connections = (0..CONNECTIONS).map(|connection| {
        let password = password.clone();
        let requests = (0..).map(move |number: u32| {
            let name = format!("new{round}-{connection}-{number}");
            let form = format!(
                "username={name}&email={name}%40example.com&password={password}\
                 &confirm_password={password}"
            );
            let from = format!(
                "X-Forwarded-For: 10.{round}.{connection}.{}\r\n",
                number % 250
            );
            Rc::from(load::post("/register", &from, &form).as_bytes())
        });
        Box::new(requests) as Requests
    });
    connections.collect()
}

/// What a log-in looks for, without the hash that would hide it.
async fn lookups(it: &Sized, lasting: Duration) -> Stats {
    let (mut stats, started) = (Stats::none(), Instant::now());
    for number in 0.. {
        let name = seed::name(spread(number, it.people));
        let asked = Instant::now();
        let user = User::find_by_username(&it.site.database, &name).await;
        assert!(user.expect("no database").is_some());
        stats.note(asked.elapsed());
        if started.elapsed() > lasting {
            break;
        }
    }
    stats.lasting(started.elapsed())
}
