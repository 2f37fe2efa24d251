//! Log-ins, against what the bare argon2id function does on all cores.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Rounds;
use crate::support::load::{self, CONNECTIONS, Requests, Stats};
use crate::support::report::Row;
use crate::support::seed;
use crate::support::site::{self, Server};

/// A log-in takes so long that rounds are fewer and longer.
const LONGER: u32 = 5;

pub fn measure(server: &Server, rounds: Rounds) -> Row {
    let time = rounds.time * LONGER;
    let requests = || requests(CONNECTIONS);
    let log_in = || server.costed(|| load::drive(server.address, requests(), 303, time));
    log_in();
    let mut row = Row::new("log-in (against argon2id)", Some(0.90));
    for _ in 0..rounds.count.div_ceil(4) {
        let against = hashes(time);
        row.add(&log_in(), &against);
    }
    println!("{}: {:.2}", row.what, row.ratio());
    row
}

/// A log-in for ever, of another account from another address on each connection.
pub fn requests(count: usize) -> Vec<Requests> {
    let numbers = (200..).take(count);
    numbers
        .map(|number| {
            let form = format!("username={}&password={}", seed::name(number), password());
            let address = format!("X-Forwarded-For: 203.0.113.{}\r\n", number % 250);
            load::again(&load::post("/login", &address, &form))
        })
        .collect()
}

fn password() -> String {
    seed::PASSWORD.replace(' ', "+")
}

/// As many threads as cores, each with memory of its own, hash what they can.
fn hashes(time: Duration) -> Stats {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let params = Params::new(19 * 1024, 2, 1, Some(32)).expect("no parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let started = Instant::now();
    let work = || {
        let mut stats = Stats::none();
        let mut memory = vec![Block::new(); argon2.params().block_count()];
        loop {
            let (begun, mut output) = (Instant::now(), [0; 32]);
            let password = seed::PASSWORD.as_bytes();
            argon2
                .hash_password_into_with_memory(password, &[7; 16], &mut output, &mut memory[..])
                .expect("no hash");
            if started.elapsed() > time {
                return stats.costing(site::worked_here());
            }
            stats.note(begun.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut all = Stats::none();
        for thread in threads {
            all.add(&thread.join().expect("a thread failed"));
        }
        all.lasting(time)
    })
}
