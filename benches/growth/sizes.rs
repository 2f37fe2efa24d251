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

/// Sessions in use, spread over the table.
const SESSIONS: u64 = 512;

/// Names and cookies of users.
type Users = Vec<(String, String)>;

/// Runs one kind of work for a time, in a numbered round.
type Drive = fn(&Runtime, &Sized, &Users, u64, Duration) -> Stats;

/// The measurements of one kind of work.
struct Work {
    what: &'static str,
    drive: Drive,
    /// The rates of the rounds, by size.
    rates: Vec<Vec<f64>>,
    times: Vec<Stats>,
}

/// Measures one kind of work after the other, each on all sizes in turn.
pub fn measure(runtime: &Runtime, sites: &[Sized], rounds: u64, lasting: Duration) -> String {
    let users: Vec<_> = sites.iter().map(|it| users(runtime, it)).collect();
    let mut works = [
        Work::new("login lookup", lookups, sites),
        Work::new("own profile, signed in", profiles, sites),
        Work::new("listing sessions", listings, sites),
        Work::new("registration", registrations, sites),
    ];
    for work in &mut works {
        for (it, users) in sites.iter().zip(&users) {
            // The warm-up is long enough to record the activity of every user once.
            (work.drive)(runtime, it, users, 0, 10 * lasting);
        }
        for round in 1..=rounds {
            for (number, (it, users)) in sites.iter().zip(&users).enumerate() {
                let stats = (work.drive)(runtime, it, users, round, lasting);
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
            times: sites.iter().map(|_| Stats::new()).collect(),
        }
    }

    /// The median of the rates, relative to the smallest size.
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
                it.users,
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

/// Logs in users that are spread over the tables.
fn users(runtime: &Runtime, it: &Sized) -> Users {
    let now = Clock::system().now();
    let numbers = (0..SESSIONS).map(|number| spread(number, it.users));
    numbers
        .map(|number| {
            let cookie = runtime.block_on(seed::log_in(&it.site.database, number, now));
            (seed::name(number), cookie)
        })
        .collect()
}

/// Steps by a prime, so that consecutive users are not neighbors in the table.
fn spread(number: u64, users: u64) -> u64 {
    number * 7919 % users
}

fn profiles(_: &Runtime, it: &Sized, users: &Users, _: u64, lasting: Duration) -> Stats {
    let requests = pages(users, |name| format!("/user/{name}"));
    load::drive(it.server.address, requests, 200, lasting)
}

fn listings(_: &Runtime, it: &Sized, users: &Users, _: u64, lasting: Duration) -> Stats {
    let requests = pages(users, |_| "/security".to_owned());
    load::drive(it.server.address, requests, 200, lasting)
}

/// Each connection takes turns with its share of the users.
fn pages(users: &Users, path: impl Fn(&str) -> String) -> Vec<Requests> {
    let requests = users.iter().map(|(name, cookie)| {
        let request = load::get(&path(name), cookie);
        Rc::from(request.as_bytes())
    });
    let requests: Vec<Rc<[u8]>> = requests.collect();
    let shares = requests.chunks(requests.len() / CONNECTIONS);
    shares
        .map(|share| Box::new(Vec::from(share).into_iter().cycle()) as Requests)
        .collect()
}

fn registrations(_: &Runtime, it: &Sized, _: &Users, round: u64, lasting: Duration) -> Stats {
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

/// The query of a login, without the hash that would hide its time.
fn lookups(runtime: &Runtime, it: &Sized, _: &Users, _: u64, lasting: Duration) -> Stats {
    let (mut stats, started) = (Stats::new(), Instant::now());
    for number in 0.. {
        let name = seed::name(spread(number, it.users));
        let asked = Instant::now();
        let user = runtime.block_on(User::find_by_username(&it.site.database, &name));
        assert!(user.expect("no database").is_some());
        stats.record(asked.elapsed());
        if started.elapsed() > lasting {
            break;
        }
    }
    stats.with_time(started.elapsed())
}
