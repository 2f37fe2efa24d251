//! Logins, compared with the bare argon2id function on all cores.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Rounds;
use crate::support::load::{self, CONNECTIONS, Requests, Stats};
use crate::support::report::Row;
use crate::support::seed;
use crate::support::site::{self, Server};

/// Logins are slow, so rounds are fewer and longer by this factor.
const LONGER: u32 = 5;

pub fn measure(server: &Server, rounds: Rounds) -> Row {
    let time = rounds.time * LONGER;
    let requests = || requests(CONNECTIONS);
    let log_in = || server.measure_cost(|| load::drive(server.address, requests(), 303, time));
    log_in();
    let mut row = Row::new("login (against argon2id)", Some(0.90));
    for _ in 0..rounds.count.div_ceil(4) {
        let against = hashes(time);
        row.add(&log_in(), &against);
    }
    println!("{}: {:.2}", row.what, row.ratio());
    row
}

/// Endless logins. Each connection has its own account and address.
pub fn requests(count: usize) -> Vec<Requests> {
    let numbers = (200..).take(count);
    numbers
        .map(|number| {
            let form = format!("username={}&password={}", seed::name(number), password());
            let address = format!("X-Forwarded-For: 203.0.113.{}\r\n", number % 250);
            load::repeat(&load::post("/login", &address, &form))
        })
        .collect()
}

fn password() -> String {
    seed::PASSWORD.replace(' ', "+")
}

/// Hashes on all cores. Each thread reuses its own memory.
fn hashes(time: Duration) -> Stats {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let params = Params::new(19 * 1024, 2, 1, Some(32)).expect("no parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let started = Instant::now();
    let work = || {
        let mut stats = Stats::new();
        let mut memory = vec![Block::new(); argon2.params().block_count()];
        loop {
            let (begun, mut output) = (Instant::now(), [0; 32]);
            let password = seed::PASSWORD.as_bytes();
            argon2
                .hash_password_into_with_memory(password, &[7; 16], &mut output, &mut memory[..])
                .expect("no hash");
            if started.elapsed() > time {
                return stats.with_work(site::cpu_time_of_thread());
            }
            stats.record(begun.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut all = Stats::new();
        for thread in threads {
            all.add(&thread.join().expect("a thread failed"));
        }
        all.with_time(time)
    })
}
