//! Page times and memory while 64 users log in at once.

use std::net::SocketAddr;
use std::time::Duration;

use crate::log_in;
use crate::support::load::{self, Sample, Stats};
use crate::support::report::time;
use crate::support::site::Site;

/// Parallel logins.
const CROWD: usize = 64;

/// The pause between two pages of the reader.
const PAUSE: Duration = Duration::from_millis(2);

/// MiB: one hash per core, and 30 more.
fn allowed() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, to_u8);
    19.0 * f64::from(cores) + 30.0
}

fn to_u8(cores: std::num::NonZero<usize>) -> u8 {
    u8::try_from(cores.get()).unwrap_or(u8::MAX)
}

pub fn measure(site: &Site, short: bool) -> String {
    let lasting = Duration::from_secs(if short { 2 } else { 8 });
    let server = site.serve();
    let address = server.address;
    let (idle, ()) = read_during(address, || std::thread::sleep(lasting));
    let (before, _) = server.memory();
    let crowd = || load::drive(address, log_in::requests(CROWD), 303, lasting);
    let (busy, log_ins) = read_during(address, crowd);
    let (_, most) = server.memory();
    let slower = busy.within(0.99).as_secs_f64() / idle.within(0.99).as_secs_f64();
    format!(
        "While {CROWD} log in at once ({:.0} logins a second), p99 of the login page is {} \
         in place of {}: {slower:.1} times (wanted: less than 10). Memory: {before:.0} MiB before, \
         at most {most:.0} MiB (wanted: less than {:.0} more).",
        log_ins.rate(),
        time(busy.within(0.99)),
        time(idle.within(0.99)),
        allowed(),
    )
}

/// Loads the login page repeatedly during `work`.
fn read_during<T>(address: SocketAddr, work: impl FnOnce() -> T) -> (Stats, T) {
    let page = Sample::new(load::get("/login", ""), 200);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| page.take(address, PAUSE));
        let done = work();
        page.end();
        (read.join().expect("the reader failed"), done)
    })
}
