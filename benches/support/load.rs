//! A cheap client: it sends prepared bytes, uses one thread for all connections, and parses
//! only the head of a response.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Connections that are open at once.
pub const CONNECTIONS: usize = 32;

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer. It borrows the buffer of its connection.
pub struct Answer<'a> {
    pub status: u16,
    /// Status line and headers, with the blank line at their end.
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// The parsed head of an answer.
struct Head {
    status: u16,
    length: usize,
    body: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("no server");
        stream.set_nodelay(true).expect("no such option");
        Self {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.expect("hung up");
        let mut filled = 0;
        let mut head: Option<Head> = None;
        loop {
            let whole = head.as_ref().map(|head| head.length + head.body);
            if whole.is_some_and(|whole| filled >= whole) {
                break;
            }
            if filled == self.buffer.len() || whole.is_some_and(|it| it > self.buffer.len()) {
                let more = whole.unwrap_or(2 * filled).max(2 * filled);
                self.buffer.resize(more, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await;
            let read = read.expect("hung up");
            assert!(read > 0, "hung up");
            filled += read;
            if head.is_none() {
                head = Head::read(&self.buffer[..filled]);
            }
        }
        let Head {
            status,
            length,
            body,
        } = head.expect("read above");
        Answer {
            status,
            head: &self.buffer[..length],
            body: &self.buffer[length..length + body],
        }
    }
}

impl Head {
    /// `None` if it is incomplete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes).expect("not HTTP") {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return None,
        };
        let status = response.code.expect("an answer has a status");
        let mut body = 0;
        for header in response.headers {
            assert!(
                !header.name.eq_ignore_ascii_case("transfer-encoding"),
                "an answer without a length"
            );
            if status != 304 && header.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(header.value).expect("no number");
                body = text.parse().expect("no number");
            }
        }
        Some(Self {
            status,
            length,
            body,
        })
    }
}

/// The requests of one connection, in order.
pub type Requests = Box<dyn Iterator<Item = Rc<[u8]>>>;

/// The same request without end.
pub fn repeat(request: &str) -> Requests {
    Box::new(std::iter::repeat(Rc::from(request.as_bytes())))
}

/// The measured answers.
pub struct Stats {
    answers: u64,
    time: Duration,
    /// The CPU time of client and server.
    work: Duration,
    /// In nanoseconds.
    times: Histogram<u64>,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            answers: 0,
            time: Duration::ZERO,
            work: Duration::ZERO,
            times: Histogram::new(3).expect("three digits are few enough"),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.time += other.time;
        self.work += other.work;
        self.times.add(&other.times).expect("it grows");
    }

    pub fn record(&mut self, took: Duration) {
        self.answers += 1;
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.times.record(took).expect("it grows");
    }

    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    pub fn with_work(self, work: Duration) -> Self {
        Self { work, ..self }
    }

    /// The CPU time of one answer in seconds.
    pub fn cost(&self) -> f64 {
        self.work.as_secs_f64() / self.answers as f64
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.time.as_secs_f64()
    }

    /// A quantile of the response times.
    pub fn within(&self, part: f64) -> Duration {
        Duration::from_nanos(self.times.value_at_quantile(part))
    }

    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.times.max())
    }
}

/// Sends on all connections in parallel, until the time is over or no request is left. Panics
/// if an answer has another status.
pub fn drive(
    address: SocketAddr,
    connections: Vec<Requests>,
    status: u16,
    time: Duration,
) -> Stats {
    run(async move {
        let started = Instant::now();
        let mut tasks = Vec::new();
        for requests in connections {
            tasks.push(tokio::task::spawn_local(async move {
                let mut stats = Stats::new();
                let mut connection = Connection::open(address).await;
                for request in requests {
                    let asked = Instant::now();
                    let answer = connection.exchange(&request).await;
                    expect(&answer, status);
                    if started.elapsed() > time {
                        break;
                    }
                    stats.record(asked.elapsed());
                }
                stats
            }));
        }
        let mut all = Stats::new();
        for task in tasks {
            all.add(&task.await.expect("a connection failed"));
        }
        all.time = started.elapsed().min(time);
        all
    })
}

/// Repeats one request with pauses, until [`Sample::end`].
pub struct Sample {
    request: String,
    status: u16,
    ended: AtomicBool,
}

impl Sample {
    pub fn new(request: String, status: u16) -> Self {
        let ended = AtomicBool::new(false);
        Self {
            request,
            status,
            ended,
        }
    }

    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub fn take(&self, address: SocketAddr, pause: Duration) -> Stats {
        run(async {
            let (started, mut stats) = (Instant::now(), Stats::new());
            let mut connection = Connection::open(address).await;
            while !self.ended.load(Ordering::Relaxed) {
                let asked = Instant::now();
                expect(
                    &connection.exchange(self.request.as_bytes()).await,
                    self.status,
                );
                stats.record(asked.elapsed());
                tokio::time::sleep(pause).await;
            }
            stats.with_time(started.elapsed())
        })
    }
}

fn expect(answer: &Answer<'_>, status: u16) {
    assert_eq!(
        answer.status,
        status,
        "{}{}",
        String::from_utf8_lossy(answer.head),
        String::from_utf8_lossy(answer.body)
    );
}

/// Runs a future on the current thread.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime");
    LocalSet::new().block_on(&runtime, work)
}

/// A GET request of a browser.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{BROWSER}{headers}\r\n")
}

/// A form sent by a browser.
pub fn post(path: &str, headers: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\n{BROWSER}{headers}Sec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

const BROWSER: &str = "Host: localhost:3000\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br\r\n";
