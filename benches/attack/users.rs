//! Users who log in as usual, each from another address.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::load::{self, Connection, Stats};
use crate::support::seed;

/// Accounts of users, from the first on.
pub const ACCOUNTS: u64 = 2_000;

/// Users who log in at the same time, and the pause after each login.
const AT_ONCE: usize = 3;
const PAUSE: Duration = Duration::from_millis(40);

/// Logins of users.
pub struct Logins {
    /// The times of successful logins.
    pub times: Stats,
    pub count: u64,
    pub refused: u64,
}

impl Logins {
    fn new() -> Self {
        Self {
            times: Stats::new(),
            count: 0,
            refused: 0,
        }
    }

    async fn add_one(&mut self, address: SocketAddr, request: &str) {
        let asked = Instant::now();
        let mut connection = Connection::open(address).await;
        let answer = connection.exchange(request.as_bytes()).await;
        if answer.status == 303 {
            self.times.record(asked.elapsed());
            self.count += 1;
        } else {
            self.refused += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.times.add(&other.times);
        self.count += other.count;
        self.refused += other.refused;
    }
}

/// Logs users in, one after the other, for a time.
pub fn log_in(address: SocketAddr, first: u64, lasting: Duration) -> Logins {
    load::run(async move {
        let started = Instant::now();
        let next = Rc::new(Cell::new(first));
        let mut tasks = Vec::new();
        for _ in 0..AT_ONCE {
            let next = Rc::clone(&next);
            tasks.push(tokio::task::spawn_local(async move {
                let mut logins = Logins::new();
                while started.elapsed() < lasting {
                    let number = next.replace(next.get() + 1);
                    logins.add_one(address, &request(number)).await;
                    tokio::time::sleep(PAUSE).await;
                }
                logins
            }));
        }
        let mut all = Logins::new();
        for task in tasks {
            all.add(&task.await.expect("a user failed"));
        }
        all
    })
}

/// The login of a user, in the range of addresses for benchmarks (RFC 2544).
fn request(number: u64) -> String {
    let account = number % ACCOUNTS;
    let address = format!(
        "X-Forwarded-For: 198.{}.{}.{}\r\n",
        18 + account / 65536,
        account / 256 % 256,
        account % 256
    );
    let password = seed::PASSWORD.replace(' ', "+");
    let form = format!("username={}&password={password}", seed::name(account));
    load::post("/login", &address, &form)
}
