//! The floods: each client sends its next request once it has an answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Runtime;
use twostep::services::clock::Clock;

use crate::support::load::{self, Connection};
use crate::support::seed;
use crate::support::site::Site;

/// Accounts of the attackers, from this one on.
pub const FIRST: u64 = 1_000_000;
pub const ACCOUNTS: u64 = 400;

/// The first user that logs in without an attack.
pub const QUIET: u64 = 1_000;

/// Addresses of a flood, and connections of each.
const ADDRESSES: u64 = 5;
const CONNECTIONS: u64 = 16;

/// Connections that read one page.
const READERS: u64 = 20;

/// Sessions of the account whose page is read.
const SESSIONS: u64 = 1_000;

const OTHER_PASSWORD: &str = "a slow boat to nowhere";

/// Returns the next request of a connection, given the status and head of the last answer.
/// At first, they are 0 and empty.
type Script = Box<dyn FnMut(u16, &[u8]) -> Vec<u8> + Send>;

/// Many connections, each with a script.
pub struct Flood {
    pub what: &'static str,
    scripts: Vec<Script>,
}

impl Flood {
    /// Sends until it is over. Returns the answers by status.
    pub fn run(self, address: SocketAddr, is_over: &Arc<AtomicBool>) -> BTreeMap<u16, u64> {
        let answers = Rc::new(RefCell::new(BTreeMap::new()));
        let connections = self.scripts.into_iter().map(|mut script| {
            let (answers, is_over) = (Rc::clone(&answers), Arc::clone(is_over));
            async move {
                let mut connection = Connection::open(address).await;
                let mut request = script(0, b"");
                while !is_over.load(Ordering::Relaxed) {
                    let answer = connection.exchange(&request).await;
                    *answers.borrow_mut().entry(answer.status).or_default() += 1;
                    request = script(answer.status, answer.head);
                }
            }
        });
        load::run(async {
            let tasks: Vec<_> = connections.map(tokio::task::spawn_local).collect();
            for task in tasks {
                task.await.expect("a connection failed");
            }
        });
        answers.take()
    }
}

/// Every flood, with new accounts and addresses for each round.
pub fn all(runtime: &Runtime, site: &Site, round: u64) -> Vec<Flood> {
    vec![
        Flood {
            what: "wrong passwords, 5 addresses",
            scripts: from_all(round, |number, address| {
                let form = format!("username={}&password=wrong", seed::name(number % 900));
                load::post("/login", address, &form)
            }),
        },
        Flood {
            what: "rejected registrations, 5 addresses",
            scripts: from_all(round, |number, address| {
                let taken = seed::name(number % 900);
                let (email, password) = (format!("{taken}%40example.com"), password());
                let form = format!(
                    "username={taken}&email={email}&password={password}\
                     &confirm_password={password}"
                );
                load::post("/register", address, &form)
            }),
        },
        Flood {
            what: "logins of one account",
            scripts: from_all(round, move |_, address| {
                let name = seed::name(FIRST + round);
                let form = format!("username={name}&password={}", password());
                load::post("/login", address, &form)
            }),
        },
        Flood {
            what: "reset requests, 5 addresses",
            scripts: from_all(round, |number, address| {
                let form = format!("email={}%40example.com", seed::name(number % 900));
                load::post("/reset_password_request", address, &form)
            }),
        },
        password_changes(runtime, site, round),
        sessions(runtime, site, round),
    ]
}

/// Numbered requests from [`ADDRESSES`] addresses at once.
fn from_all(
    round: u64,
    request: impl Fn(u64, &str) -> String + Clone + Send + 'static,
) -> Vec<Script> {
    let script = |connection: u64| {
        let address = address(round, connection % ADDRESSES);
        let (request, mut number) = (request.clone(), connection);
        let next = move |_: u16, _: &[u8]| {
            number += ADDRESSES * CONNECTIONS;
            request(number, &address).into_bytes()
        };
        Box::new(next) as Script
    };
    (0..ADDRESSES * CONNECTIONS).map(script).collect()
}

/// The header with the address of a client.
fn address(round: u64, number: u64) -> String {
    format!("X-Forwarded-For: 203.0.{round}.{number}\r\n")
}

/// Each connection changes the password of its own account back and forth.
fn password_changes(runtime: &Runtime, site: &Site, round: u64) -> Flood {
    let now = Clock::system().now();
    let first = FIRST + 100 + CONNECTIONS * round;
    let script = |account: u64| {
        let cookie = runtime.block_on(seed::log_in(&site.database, account, now));
        let mut headers = format!("{}{cookie}", address(round, 9));
        let mut passwords = [password(), OTHER_PASSWORD.replace(' ', "+")];
        let next = move |status: u16, head: &[u8]| {
            // A change gives the session a new cookie.
            if status == 303
                && let Some(cookie) = cookie_in(head)
            {
                headers = format!("{}Cookie: {cookie}\r\n", address(round, 9));
                passwords.reverse();
            }
            let [current, new] = &passwords;
            let form = format!("current_password={current}&password={new}&confirm_password={new}");
            load::post("/change_password", &headers, &form).into_bytes()
        };
        Box::new(next) as Script
    };
    Flood {
        what: "changes of passwords, 16 accounts",
        scripts: (first..first + CONNECTIONS).map(script).collect(),
    }
}

/// The cookie that an answer sets: `session=…`.
fn cookie_in(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let line = lines.find_map(|line| line.strip_prefix("set-cookie: "))?;
    line.split(';').next().map(str::to_owned)
}

/// Every connection reads the page that lists the many sessions of one account.
fn sessions(runtime: &Runtime, site: &Site, round: u64) -> Flood {
    let account = FIRST + 300 + round;
    let now = Clock::system().now();
    let cookie = runtime.block_on(async {
        for _ in 0..SESSIONS {
            seed::log_in(&site.database, account, now).await;
        }
        seed::log_in(&site.database, account, now).await
    });
    let headers = format!("{}{cookie}", address(round, 10));
    let request = load::get("/security", &headers).into_bytes();
    let script = |_| {
        let request = request.clone();
        Box::new(move |_: u16, _: &[u8]| request.clone()) as Script
    };
    Flood {
        what: "a page of 1,000 sessions, 20 readers",
        scripts: (0..READERS).map(script).collect(),
    }
}

fn password() -> String {
    seed::PASSWORD.replace(' ', "+")
}
