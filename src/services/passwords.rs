//! Password hashing on dedicated threads.
//!
//! There are as many threads as cores, each with its own memory, behind a bounded queue.
//! Hashing never blocks the async threads and never takes more than one hash per core.
//! The queue is fair across clients: a flood from one client is refused instead of delaying
//! the others.

mod argon2id;
mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use argon2::Block;
use secrecy::SecretString;
use tokio::sync::oneshot;

use argon2id::{compare, dummy_hash, hash};
use queue::{Client, Full, Queue};

/// Jobs that may wait for a core: about a second's work of one core.
const QUEUE_LENGTH: usize = 64;

/// By how much hashing yields to the rest of the program. A page then does not wait for a
/// hash, and a flood of pages still leaves hashing a quarter of a core.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Stored instead of a hash while no password is valid, until a new one is set.
pub const UNUSABLE: &str = "!";

/// Why a password was neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The job panicked.
    #[error("password hashing has stopped")]
    Stopped,
    #[error("password hashing could not start: {0}")]
    Start(#[from] std::io::Error),
    #[error("no random numbers for a salt")]
    Randomness(#[from] getrandom::Error),
    #[error("argon2 failed: {0}")]
    Argon2(#[from] argon2::Error),
    #[error("a password hash could not be written: {0}")]
    Format(#[from] argon2::password_hash::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    pub matches: bool,
    /// The hash was made with other parameters than today's.
    pub outdated: bool,
}

/// The jobs of the hashing threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs in the queue.
    pub waiting: usize,
    pub running: usize,
}

/// Work for one of the threads, with the thread's memory.
type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The handle to the hashing threads. They end when its last clone is dropped.
#[derive(Clone)]
pub struct Passwords {
    threads: Arc<Threads>,
    dummy_hash: Arc<str>,
    client: Client,
}

/// Closes the queue when it is dropped, which ends the threads.
struct Threads(Arc<Queue<Job>>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Passwords {
    /// Starts one thread per core.
    pub fn start() -> Result<Self, Error> {
        let queue = Arc::new(Queue::new(QUEUE_LENGTH));
        // First, so that all threads end if a later one cannot start.
        let threads = Arc::new(Threads(Arc::clone(&queue)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("passwords".into())
                .spawn(move || work(&queue))?;
        }
        Ok(Self {
            threads,
            dummy_hash: dummy_hash()?.into(),
            client: None,
        })
    }

    /// The same threads for one client. Everyone without a key counts as one client.
    pub fn for_client(&self, key: Option<String>) -> Self {
        Self {
            client: key.map(Arc::from),
            ..self.clone()
        }
    }

    pub fn load(&self) -> Load {
        self.threads.0.load()
    }

    /// Hashes a password with a new salt, to a PHC string.
    pub async fn hash(&self, password: SecretString) -> Result<String, Error> {
        self.submit(move |memory| hash(&password, memory)).await?
    }

    /// Compares a password with a PHC string. Without one (no such user), or with
    /// [`UNUSABLE`], it does the same work and never matches, so the time reveals nothing.
    /// Another stored string that cannot be read never matches either.
    pub async fn compare(
        &self,
        password: SecretString,
        stored: Option<&str>,
    ) -> Result<Comparison, Error> {
        let stored = stored.filter(|stored| *stored != UNUSABLE);
        let phc = stored.map_or_else(|| Arc::clone(&self.dummy_hash), Arc::from);
        let found = self
            .submit(move |memory| compare(&password, &phc, memory))
            .await??;
        Ok(Comparison {
            matches: found.matches && stored.is_some(),
            outdated: found.outdated,
        })
    }

    /// Runs other work that keeps a core busy, such as rating a password, on the same
    /// threads and with the same bound.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.submit(|_| work()).await
    }

    /// Queues work and waits for it. A thread skips the job if its waiter has gone.
    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            if !reply.is_closed() {
                let done = catch_unwind(AssertUnwindSafe(|| work(memory)));
                let _ = reply.send(done.map_err(|_| job_panicked()));
            }
        });
        let queued = self.threads.0.push(&self.client, job);
        queued.map_err(|Full| Error::Busy)?;
        // The queue drops a job without an answer when it makes room for another client.
        answer.await.unwrap_or(Err(Error::Busy))
    }
}

/// The waiter gets an error, and the thread goes on.
fn job_panicked() -> Error {
    tracing::error!(event = "panic", "a job of the hashing threads panicked");
    Error::Stopped
}

/// The loop of one thread, until the last handle is gone.
fn work(queue: &Queue<Job>) {
    // On Linux each thread has its own priority. A page takes far less time than a hash, and
    // would otherwise wait for one.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
    let mut memory = Vec::new();
    while let Some(job) = queue.next() {
        job(&mut memory);
        queue.finish();
    }
}
