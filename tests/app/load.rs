//! Parallel requests and disconnected clients use a bounded amount of resources, and release
//! them.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use twostep::dev::simulator::Failure;

use crate::outages::assert_too_busy;
use crate::support::hashing::QUEUE;
use crate::support::{PASSWORD, TestApp, until};

/// ASVS 1.4.3
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_of_disconnected_clients_release_their_connections() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    let cookie = harry.session_cookie().unwrap();
    let database = &app.state.database;
    let whole = format!("GET /home HTTP/1.1\r\nHost: x\r\nCookie: session={cookie}\r\n\r\n");
    let form = "POST /edit_profile HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n";
    let pending = format!("{form}Cookie: session={cookie}\r\n\r\nusername=harry&about_me=");
    for round in 0..1000 {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let bytes = [&whole, &pending][round % 2];
        stream.write_all(bytes.as_bytes()).await.unwrap();
    }
    let used = || database.size() - u32::try_from(database.num_idle()).unwrap();
    until(|| used() == 0).await;
    let most = database.options().get_max_connections();
    assert!(database.size() <= most, "{}", database.size());
    assert!(harry.is_logged_in().await);
    app.browser().complete_login("harry").await;
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_full_hashing_queue_refuses_logins_but_no_pages() {
    let app = TestApp::start().await;
    app.register("harry").await;
    let blocked = app.block_hashing(None, QUEUE).await;
    let (browser, asked) = (app.browser(), Instant::now());
    let page = browser.log_in("harry", PASSWORD).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "it waited");
    assert_too_busy(&page);
    for path in ["/login", "/register", "/healthz"] {
        assert_eq!(app.browser().get(path).await.status, 200, "{path}");
    }
    assert_eq!(blocked.release().await, 0);
    browser.complete_login("harry").await;
}

/// ASVS 15.2.2
#[tokio::test]
async fn a_client_that_fills_the_hashing_queue_is_refused_but_others_are_served() {
    let app = TestApp::behind_proxy().await;
    app.register("harry").await;
    let waiting = || app.state.passwords.load().waiting;
    let blocked = app.block_hashing(Some("2001:db8:1::/48"), QUEUE - 1).await;
    // All networks of an IPv6 site are one client.
    let browser = app.browser().at("2001:db8:1:1::1");
    let newest = tokio::spawn(async move { browser.log_in("harry", PASSWORD).await });
    until(|| waiting() == QUEUE).await;
    let flooder = app.browser().at("2001:db8:1:ffff::2");
    let registered = flooder.register("mallory", "m@example.com", PASSWORD).await;
    assert_too_busy(&registered);
    assert_too_busy(&flooder.log_in("harry", PASSWORD).await);
    // The newest job of the flood is dropped for another client's.
    let browser = app.browser().at("2001:db8:2:1::1");
    let other = tokio::spawn(async move { browser.log_in("harry", PASSWORD).await });
    assert_too_busy(&newest.await.unwrap());
    assert_eq!(waiting(), QUEUE);
    assert_eq!(blocked.release().await, 0);
    other.await.unwrap().redirects_to("/home");
    flooder.complete_login("harry").await;
}

/// ASVS 15.2.2, 15.4.4
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_parallel_logins_delay_no_page() {
    let app = TestApp::start().await;
    let mut logins = JoinSet::new();
    let started = Instant::now();
    for number in 0..100 {
        let browser = app.browser();
        logins.spawn(async move { browser.log_in(&format!("nobody{number}"), "x").await });
    }
    let mut times = Vec::new();
    while times.len() < 20 {
        let (browser, asked) = (app.browser(), Instant::now());
        assert_eq!(browser.get("/login").await.status, 200);
        times.push(asked.elapsed());
    }
    for page in logins.join_all().await {
        match page.status {
            503 => assert!(page.header("retry-after").is_some()),
            status => assert_eq!(status, 422),
        }
    }
    times.sort();
    let (middle, all) = (times[10], started.elapsed());
    assert!(
        middle < all / 4 || middle < Duration::from_millis(200),
        "{middle:?} of {all:?}"
    );
}

/// ASVS 13.2.6, 15.4.4, 16.5.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_twilio_delays_only_the_requests_that_wait_for_it() {
    // More than there are connections to the database.
    const WAITING: u64 = 10;
    let app = TestApp::with_timeout(&[], Duration::from_secs(15)).await;
    let mut browsers = Vec::new();
    for number in 0..WAITING {
        browsers.push(app.register_and_log_in(&format!("user{number}")).await);
    }
    app.register("harry").await;
    app.phone().fail_with(Some(Failure::Silence));
    let mut requests = JoinSet::new();
    for (number, browser) in browsers.into_iter().enumerate() {
        let phone = format!("+25472022720{number}");
        requests.spawn(async move { browser.enable(&phone).await });
    }
    until(|| app.phone().counters().creates >= WAITING).await;
    let harry = app.browser();
    harry.complete_login("harry").await;
    let fields = [("username", "harry"), ("about_me", "Hello.")];
    let page = harry.post("/edit_profile", &fields).await;
    page.redirects_to("/user/harry");
    assert_eq!(app.browser().get("/login").await.status, 200);
    assert!(requests.try_join_next().is_none(), "no request was waiting");
    requests.abort_all();
}
