//! The real program as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{Browser, PATIENCE, Page};

/// A process. It ends with the test, even if the test fails.
pub struct Process(pub Child);

impl Process {
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The running program, in an empty folder, with a JSON log.
pub struct Program {
    process: Process,
    pub address: SocketAddr,
    pub folder: TempDir,
}

/// The program before it is ready.
pub struct Starting {
    process: Process,
    folder: TempDir,
}

impl Starting {
    /// Starts it with only these settings.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), settings)
    }

    /// Starts it in a folder that may contain a `.env`.
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

    /// Waits until it is ready.
    pub fn serving(mut self) -> Program {
        let mut line = String::new();
        let mut out = BufReader::new(self.process.0.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(self.folder.path().join("log"));
        let address = line.trim().strip_prefix("Listening on http://");
        let address = address.unwrap_or_else(|| panic!("the program does not start: {:?}", log()));
        Program {
            address: address.parse().unwrap(),
            process: self.process,
            folder: self.folder,
        }
    }
}

impl Program {
    /// Starts it with only these settings, and waits until it is ready.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Starting::new(settings).serving()
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Its log lines so far.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The log lines of a request.
    pub fn lines_of(&self, page: &Page) -> Vec<Value> {
        let id = page.header("x-request-id").unwrap();
        let mut lines = self.lines();
        lines.retain(|line| line["span"]["id"] == id);
        lines
    }

    /// The only log line of a request with this event.
    pub fn line(&self, page: &Page, event: &str) -> Value {
        let mut lines = self.lines_of(page);
        lines.retain(|line| line["event"] == event);
        assert_eq!(lines.len(), 1, "{event}: {:?}", self.lines_of(page));
        lines.remove(0)
    }

    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Sends a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let process = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until it has ended.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the program keeps running");
            tokio::task::yield_now().await;
        }
    }

    /// Whether it accepts a new connection.
    pub async fn is_listening(&self) -> bool {
        TcpStream::connect(self.address).await.is_ok()
    }
}
