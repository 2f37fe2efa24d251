//! Entering codes, against the bare server. Each code is good once, so each request has
//! a log-in of its own, of an account of its own, which stands in the database before.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use twostep::services::clock::Clock;

use crate::Rounds;
use crate::pages::same_bytes;
use crate::support::load::{self, CONNECTIONS, Requests};
use crate::support::report::Row;
use crate::support::seed;
use crate::support::site::{Server, Site};

/// Log-ins on one connection in one round.
const OF_CONNECTION: usize = 5;

/// They end when all codes are entered.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(60);

/// The accounts have numbers from this one on.
const FIRST: u64 = 10_000;

pub fn measure(runtime: &Runtime, site: &Site, server: &Server, rounds: Rounds) -> Row {
    let in_round = OF_CONNECTION * CONNECTIONS;
    let count = rounds.count.div_ceil(4) * u64::try_from(in_round).expect("few") + 1;
    let requests = runtime.block_on(half_log_ins(site, count));
    let (first, requests) = requests.split_first().expect("more than one");
    let first = std::str::from_utf8(first).expect("it is text");
    let bare = same_bytes(runtime, server.address, "/verify_2fa", first);
    let mut row = Row::new("a code entered rightly", None);
    for of_round in requests.chunks(in_round) {
        let drive = |address| {
            let requests = shared_out(of_round);
            server.costed(|| load::drive(address, requests, 303, AS_LONG_AS_IT_TAKES))
        };
        let against = drive(bare);
        row.add(&drive(server.address), &against);
    }
    println!("{}: {:.2}", row.what, row.ratio());
    row
}

async fn half_log_ins(site: &Site, count: u64) -> Vec<Rc<[u8]>> {
    let now = Clock::system().now();
    seed::fill(&site.database, FIRST, count, now).await;
    seed::give_phones(&site.database, FIRST, count).await;
    let mut requests = Vec::new();
    for number in FIRST..FIRST + count {
        let (cookie, code) = seed::half_log_in(site, number, now).await;
        let request = load::post("/verify_2fa", &cookie, &format!("token={code}"));
        requests.push(Rc::from(request.as_bytes()));
    }
    requests
}

fn shared_out(requests: &[Rc<[u8]>]) -> Vec<Requests> {
    let shares = requests.chunks(OF_CONNECTION);
    shares
        .map(|share| Box::new(Vec::from(share).into_iter()) as Requests)
        .collect()
}
