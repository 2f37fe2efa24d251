//! Entering codes, compared with the bare server. A code is valid once, so each request uses
//! another account, whose login was started before.

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

/// Logins per connection and round.
const PER_CONNECTION: usize = 5;

/// A round ends earlier, when all codes are entered.
const MAX_TIME: Duration = Duration::from_secs(60);

/// The number of the first account.
const FIRST: u64 = 10_000;

pub fn measure(runtime: &Runtime, site: &Site, server: &Server, rounds: Rounds) -> Row {
    let in_round = PER_CONNECTION * CONNECTIONS;
    let count = rounds.count.div_ceil(4) * u64::try_from(in_round).expect("few") + 1;
    let requests = runtime.block_on(challenged_logins(site, count));
    let (first, requests) = requests.split_first().expect("more than one");
    let first = std::str::from_utf8(first).expect("it is text");
    let bare = same_bytes(runtime, server.address, "/verify_2fa", first);
    let mut row = Row::new("a correct code", None);
    for of_round in requests.chunks(in_round) {
        let drive = |address| {
            let requests = split_by_connection(of_round);
            server.measure_cost(|| load::drive(address, requests, 303, MAX_TIME))
        };
        let against = drive(bare);
        row.add(&drive(server.address), &against);
    }
    println!("{}: {:.2}", row.what, row.ratio());
    row
}

async fn challenged_logins(site: &Site, count: u64) -> Vec<Rc<[u8]>> {
    let now = Clock::system().now();
    seed::fill(&site.database, FIRST, count, now).await;
    seed::turn_on_two_factor(&site.database, FIRST, count).await;
    let mut requests = Vec::new();
    for number in FIRST..FIRST + count {
        let (cookie, code) = seed::start_login_challenge(site, number, now).await;
        let request = load::post("/verify_2fa", &cookie, &format!("token={code}"));
        requests.push(Rc::from(request.as_bytes()));
    }
    requests
}

fn split_by_connection(requests: &[Rc<[u8]>]) -> Vec<Requests> {
    let shares = requests.chunks(PER_CONNECTION);
    shares
        .map(|share| Box::new(Vec::from(share).into_iter()) as Requests)
        .collect()
}
