//! Pages and files, against the bare server.

use std::net::SocketAddr;

use tokio::runtime::Runtime;
use twostep::services::clock::Clock;

use crate::Rounds;
use crate::support::load::{self, CONNECTIONS, Connection, Requests};
use crate::support::report::Row;
use crate::support::site::{Server, Site};
use crate::support::{bare, seed};
use twostep::services::assets;

struct Page {
    what: &'static str,
    path: String,
    /// Of each connection.
    requests: Vec<String>,
    status: u16,
    wanted: Option<f64>,
}

pub fn measure(runtime: &Runtime, site: &Site, server: &Server, rounds: Rounds) -> Vec<Row> {
    let pages = pages(runtime, site, server.address);
    let measured = pages.iter().map(|page| row(runtime, page, server, rounds));
    measured.collect()
}

fn pages(runtime: &Runtime, site: &Site, server: SocketAddr) -> Vec<Page> {
    let css = assets::url("css/app.css");
    let known = &format!("If-None-Match: {}\r\n", etag(server, css));
    vec![
        Page::same_for_all("login page", "/login", "", 200, Some(0.70)),
        own_profiles(runtime, site),
        Page::same_for_all("a page that is not there", "/nothing", "", 404, None),
        Page::same_for_all("a static file", css, "", 200, None),
        Page::same_for_all("the same, unchanged", css, known, 304, None),
    ]
}

impl Page {
    /// The same request on all connections.
    fn same_for_all(
        what: &'static str,
        path: &str,
        headers: &str,
        status: u16,
        wanted: Option<f64>,
    ) -> Self {
        Self {
            what,
            path: path.to_owned(),
            requests: vec![load::get(path, headers); CONNECTIONS],
            status,
            wanted,
        }
    }

    fn requests(&self) -> Vec<Requests> {
        self.requests.iter().map(|it| load::repeat(it)).collect()
    }
}

/// The ETag of a file, which a browser sends to revalidate it.
fn etag(server: SocketAddr, path: &str) -> String {
    load::run(async {
        let mut connection = Connection::open(server).await;
        let answer = connection.exchange(load::get(path, "").as_bytes()).await;
        let head = String::from_utf8_lossy(answer.head);
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: "));
        etag.expect("the file has an ETag").to_owned()
    })
}

/// Each connection belongs to another user.
fn own_profiles(runtime: &Runtime, site: &Site) -> Page {
    let now = Clock::system().now();
    let mut requests = Vec::new();
    for number in (100..).take(CONNECTIONS) {
        let cookie = runtime.block_on(seed::log_in(&site.database, number, now));
        requests.push(load::get(&format!("/user/{}", seed::name(number)), &cookie));
    }
    Page {
        what: "own profile, logged in",
        path: "/user/{name}".to_owned(),
        requests,
        status: 200,
        wanted: Some(0.45),
    }
}

fn row(runtime: &Runtime, page: &Page, server: &Server, rounds: Rounds) -> Row {
    let bare = same_bytes(runtime, server.address, &page.path, &page.requests[0]);
    let drive = |address| {
        server.measure_cost(|| load::drive(address, page.requests(), page.status, rounds.time))
    };
    drive(bare);
    drive(server.address);
    let mut row = Row::new(page.what, page.wanted);
    for _ in 0..rounds.count {
        let against = drive(bare);
        row.add(&drive(server.address), &against);
    }
    println!("{}: {:.2}", row.what, row.ratio());
    row
}

/// Starts a bare server with the app's answer.
pub fn same_bytes(runtime: &Runtime, app: SocketAddr, path: &str, request: &str) -> SocketAddr {
    load::run(async {
        let mut connection = Connection::open(app).await;
        let answer = connection.exchange(request.as_bytes()).await;
        bare::serve(runtime, path, &answer)
    })
}
