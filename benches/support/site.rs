//! The release binary as a process on a free port, with a database in a temporary folder. Its
//! codes go to a demo phone in this process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::load::Stats;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use twostep::config::Twilio;
use twostep::dev::simulator::DemoPhone;
use twostep::models::{self, Database};
use twostep::services::clock::Clock;
use twostep::services::twilio_verify::{Timeouts, TwilioVerify};

/// A database and a phone, shared by consecutive servers.
pub struct Site {
    folder: TempDir,
    pub database: Database,
    pub phone: DemoPhone,
    /// The client of the phone.
    pub verify: TwilioVerify,
}

impl Site {
    /// Creates an empty database, and runs the phone in `runtime`.
    pub fn new(runtime: &Runtime) -> Self {
        runtime.block_on(async {
            let folder = TempDir::new().expect("no folder");
            let url = format!("{}?mode=rwc", url(&folder));
            let phone = DemoPhone::start(Clock::system()).await.expect("no phone");
            Self {
                database: models::connect(&url).await.expect("no database"),
                verify: TwilioVerify::new(phone.settings(), Timeouts::default())
                    .expect("no client"),
                folder,
                phone,
            }
        })
    }

    /// Starts the program and waits until it listens. Its log goes to /dev/null.
    pub fn serve(&self) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_twostep"))
            .current_dir(self.folder.path())
            .env_clear()
            .envs(settings(&self.folder, &self.phone.settings()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create("/dev/null").expect("no /dev/null"))
            .spawn()
            .expect("the program does not start");
        let output = process.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it said nothing");
        let address = line.trim().strip_prefix("Listening on http://");
        let address = address.expect("it does not listen").parse();
        Server {
            process,
            address: address.expect("no address"),
        }
    }
}

/// The CPU time so far of a process, or of `self`.
fn cpu_time(process: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.expect("no /proc: this needs Linux");
    let nanos = threads.filter_map(|thread| {
        let file = thread.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(file).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The CPU time so far of this thread.
pub fn cpu_time_of_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat");
    let text = text.expect("no /proc: this needs Linux");
    let nanos = text.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.expect("no number"))
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("bench.db").display())
}

fn settings(folder: &TempDir, phone: &Twilio) -> [(&'static str, String); 8] {
    [
        ("DATABASE_URL", url(folder)),
        ("PORT", "0".to_owned()),
        ("TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ("SMS_DAILY_LIMIT", "1000000".to_owned()),
        ("TWILIO_ACCOUNT_SID", phone.username.clone()),
        (
            "TWILIO_AUTH_TOKEN",
            phone.password.expose_secret().to_owned(),
        ),
        ("TWILIO_VERIFY_SERVICE_ID", phone.service.clone()),
        ("TWILIO_VERIFY_BASE_URL", phone.base_url.to_string()),
    ]
}

/// A running server. It is killed when it is dropped.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Runs some work and adds the CPU time that both processes spent.
    pub fn measure_cost(&self, work: impl FnOnce() -> Stats) -> Stats {
        let server = self.process.id().to_string();
        let total = || cpu_time(&server) + cpu_time("self");
        let before = total();
        let stats = work();
        stats.with_work(total() - before)
    }

    /// Current and peak memory in MiB.
    pub fn memory(&self) -> (f64, f64) {
        (self.mib("VmRSS:"), self.mib("VmHWM:"))
    }

    /// Memory without mapped files, such as the database, in MiB.
    pub fn anonymous_memory(&self) -> f64 {
        self.mib("RssAnon:")
    }

    fn mib(&self, name: &str) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("no /proc: this needs Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: f64 = kib.and_then(|it| it.trim().parse().ok()).expect("no size");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
