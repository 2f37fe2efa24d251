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

/// A database's people, by name and cookie.
type People = Vec<(String, String)>;

/// Does some work of that kind for so long, in the round of this number.
type Drive = fn(&Runtime, &Sized, &People, u64, Duration) -> Stats;

/// What is measured of each size.
struct Work {
    what: &'static str,
    drive: Drive,
    /// Of each size, the rates of the rounds.
    rates: Vec<Vec<f64>>,
    times: Vec<Stats>,
}

/// Measures one kind of work after the other, each on all sizes in turn.
pub fn measure(runtime: &Runtime, sites: &[Sized], rounds: u64, lasting: Duration) -> String {
    let people: Vec<_> = sites.iter().map(|it| people(runtime, it)).collect();
    let mut works = [
        Work::new("log-in lookup", lookups, sites),
        Work::new("own profile, signed in", profiles, sites),
        Work::new("listing sessions", listings, sites),
        Work::new("registration", registrations, sites),
    ];
    for work in &mut works {
        for (it, people) in sites.iter().zip(&people) {
            // Time enough to note everybody's activity, which is once a minute.
            (work.drive)(runtime, it, people, 0, 10 * lasting);
        }
        for round in 1..=rounds {
            for (number, (it, people)) in sites.iter().zip(&people).enumerate() {
                let stats = (work.drive)(runtime, it, people, round, lasting);
                work.rates[number].push(stats.rate());
                work.times[number].add(&stats);
            }
        }
    }
    table(&works, sites)
}

impl Work {
    fn new(what: &'static str, drive: Drive, sites: &[Sized]) -> Self {
        Self {
            what,
            drive,
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
fn people(runtime: &Runtime, it: &Sized) -> People {
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

fn profiles(_: &Runtime, it: &Sized, people: &People, _: u64, lasting: Duration) -> Stats {
    let requests = pages(people, |name| format!("/user/{name}"));
    load::drive(it.server.address, requests, 200, lasting)
}

fn listings(_: &Runtime, it: &Sized, people: &People, _: u64, lasting: Duration) -> Stats {
    let requests = pages(people, |_| "/security".to_owned());
    load::drive(it.server.address, requests, 200, lasting)
}

/// Each connection asks as one person after the other.
fn pages(people: &People, path: impl Fn(&str) -> String) -> Vec<Requests> {
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

fn registrations(_: &Runtime, it: &Sized, _: &People, round: u64, lasting: Duration) -> Stats {
    load::drive(it.server.address, newcomers(round), 303, 2 * lasting)
}

fn newcomers(round: u64) -> Vec<Requests> {
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
fn lookups(runtime: &Runtime, it: &Sized, _: &People, _: u64, lasting: Duration) -> Stats {
    let (mut stats, started) = (Stats::none(), Instant::now());
    for number in 0.. {
        let name = seed::name(spread(number, it.people));
        let asked = Instant::now();
        let user = runtime.block_on(User::find_by_username(&it.site.database, &name));
        assert!(user.expect("no database").is_some());
        stats.note(asked.elapsed());
        if started.elapsed() > lasting {
            break;
        }
    }
    stats.lasting(started.elapsed())
}
