//! The real program as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{Browser, PATIENCE, Page};

/// A process, which ends with the test, also with one that fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, in an empty folder, with its log as JSON.
pub struct Program {
    process: Process,
    pub address: SocketAddr,
    pub folder: TempDir,
}

/// The program when it was started and may not serve yet.
pub struct Starting {
    process: Process,
    folder: TempDir,
}

impl Starting {
    /// Starts it with these settings alone.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), settings)
    }

    /// Starts it in a folder that may hold a `.env`.
    pub fn in_folder(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_twostep"))
            .env_clear()
            .envs([("PORT", "0"), ("LOG_FORMAT", "json")])
            .envs(settings.iter().copied())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process: Process(process),
            folder,
        }
    }

    /// Waits until it serves.
    pub fn serving(mut self) -> Program {
        let mut line = String::new();
        let mut out = BufReader::new(self.process.0.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(self.folder.path().join("log"));
        let address = line.trim().strip_prefix("Listening on http://");
        let address = address.unwrap_or_else(|| panic!("it does not start: {:?}", log()));
        Program {
            address: address.parse().unwrap(),
            process: self.process,
            folder: self.folder,
        }
    }
}

impl Program {
    /// Starts it with these settings alone, and waits until it serves.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Starting::new(settings).serving()
    }

    /// A new browser, without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Its lines so far, each of which is JSON.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The lines that a request wrote.
    pub fn lines_of(&self, page: &Page) -> Vec<Value> {
        let id = page.header("x-request-id").unwrap();
        let mut lines = self.lines();
        lines.retain(|line| line["span"]["id"] == id);
        lines
    }

    /// The one line about an event that a request wrote.
    pub fn line(&self, page: &Page, event: &str) -> Value {
        let mut lines = self.lines_of(page);
        lines.retain(|line| line["event"] == event);
        assert_eq!(lines.len(), 1, "{event}: {:?}", self.lines_of(page));
        lines.remove(0)
    }
}

impl Program {
    /// What the system calls it.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let process = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it in the hardest way.
    pub fn kill(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
    }

    /// Waits until it has ended, and returns its status.
    pub async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it goes on");
            tokio::task::yield_now().await;
        }
    }

    /// Whether a new connection is taken.
    pub async fn listens(&self) -> bool {
        TcpStream::connect(self.address).await.is_ok()
    }
}
