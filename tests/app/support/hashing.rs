//! Keeps the hashing threads busy until a test releases them.

use std::sync::mpsc::{Sender, channel};

use tokio::task::JoinHandle;
use twostep::services::passwords::{Error, Load, Passwords};

use super::{TestApp, until};

/// Jobs that may wait for a thread.
pub const QUEUE: usize = 64;

/// Jobs that occupy the hashing threads and the queue. Dropping this value ends them.
pub struct BlockedHashing {
    release: Vec<Sender<()>>,
    jobs: Vec<JoinHandle<Result<(), Error>>>,
}

impl BlockedHashing {
    fn add(&mut self, passwords: &Passwords) {
        let (sender, released) = channel::<()>();
        self.release.push(sender);
        let passwords = passwords.clone();
        let wait = move || {
            let _ = released.recv();
        };
        self.jobs
            .push(tokio::spawn(async move { passwords.run(wait).await }));
    }

    /// Lets all jobs end, and returns how many of them were refused.
    pub async fn release(self) -> usize {
        drop(self.release);
        let mut refused = 0;
        for job in self.jobs {
            match job.await.unwrap() {
                Ok(()) => {}
                Err(Error::Busy) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        refused
    }
}

impl TestApp {
    /// Occupies every hashing thread, and adds `waiting` jobs of the client `key` to the queue.
    pub async fn block_hashing(&self, key: Option<&str>, waiting: usize) -> BlockedHashing {
        let cores = std::thread::available_parallelism().unwrap().get();
        let passwords = self.state.passwords.for_client(key.map(str::to_owned));
        let mut blocked = BlockedHashing {
            release: Vec::new(),
            jobs: Vec::new(),
        };
        // A job that has answered still counts for a moment.
        until(|| self.state.passwords.load() == Load::default()).await;
        for _ in 0..cores {
            blocked.add(&passwords);
        }
        until(|| self.state.passwords.load().running == cores).await;
        for _ in 0..waiting {
            blocked.add(&passwords);
        }
        until(|| self.state.passwords.load().waiting == waiting).await;
        blocked
    }
}
