//! Password hashing with argon2id, on threads of its own.
//!
//! As many threads as cores, each with its own memory, behind a bounded queue:
//! hashing never holds up the async threads, never takes more than one hash a
//! core, and a flood of log-ins is turned away instead of piling up. One client's
//! flood is turned away before it has filled the queue.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{self, Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

/// Memory of one hash in KiB, passes, lanes: the OWASP password storage cheat
/// sheet's first choice for argon2id (ASVS 11.4.2).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Bytes of a hash and of its salt.
const HASH_LENGTH: usize = 32;
const SALT_LENGTH: usize = 16;

/// The most that a stored hash may ask for, in KiB and passes: one that asks for
/// more was not made by any version of this program.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 64;

/// Hashes that may wait for a core: about a second's work of one core.
const QUEUE_LENGTH: usize = 64;

/// Hashes of one client that may be waiting or running.
const SHARE: usize = QUEUE_LENGTH / 4;

/// By how much hashing yields to the rest of the program: enough that a page does not wait
/// for it, while a flood of pages leaves it a quarter of a core.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Stands in place of a hash where no password is to match, until one is set.
pub const UNUSABLE: &str = "!";

/// Why a password was neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many hashes are waiting already.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The work ended without an answer.
    #[error("password hashing has stopped")]
    Stopped,
    /// The threads could not be started.
    #[error("password hashing could not start: {0}")]
    Start(#[from] std::io::Error),
    /// The operating system had no random numbers to give.
    #[error("no random numbers for a salt")]
    Randomness(#[from] getrandom::Error),
    /// The algorithm refused its input.
    #[error("argon2 failed: {0}")]
    Argon2(#[from] argon2::Error),
    /// A hash could not be written as a PHC string.
    #[error("a password hash could not be written: {0}")]
    Format(#[from] argon2::password_hash::Error),
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// The password is the one that was hashed.
    pub matches: bool,
    /// The hash was made with other parameters than today's.
    pub outdated: bool,
}

/// The handle to the hashing threads. They end when its last clone is dropped.
#[derive(Clone)]
pub struct Passwords {
    queue: SyncSender<Job>,
    counts: Arc<Counts>,
    nobodys: Arc<str>,
    /// Whose work it is, where that is to be bounded.
    client: Option<Arc<str>>,
}

/// How much work there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Hashes that wait for a core.
    pub waiting: usize,
    /// Hashes that have one.
    pub running: usize,
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    running: AtomicUsize,
    /// Hashes of each client that has any.
    clients: Mutex<HashMap<Arc<str>, usize>>,
}

/// A client's place, given back when the work is done or nobody wants it any more.
struct Place {
    counts: Arc<Counts>,
    client: Arc<str>,
}

impl Place {
    fn take(counts: &Arc<Counts>, client: &Arc<str>) -> Result<Self, Error> {
        let mut clients = lock(&counts.clients);
        let taken = clients.entry(Arc::clone(client)).or_default();
        if *taken >= SHARE {
            return Err(Error::Busy);
        }
        *taken += 1;
        Ok(Self {
            counts: Arc::clone(counts),
            client: Arc::clone(client),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = lock(&self.counts.clients);
        if let Some(taken) = clients.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// Work for one of the threads, which lends it its memory.
type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

impl Passwords {
    /// Starts one thread a core.
    ///
    /// # Errors
    /// When a thread cannot be started or there are no random numbers.
    pub fn start() -> Result<Self, Error> {
        let (queue, jobs) = sync_channel(QUEUE_LENGTH);
        let jobs = Arc::new(Mutex::new(jobs));
        let counts = Arc::new(Counts::default());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            let (jobs, counts) = (Arc::clone(&jobs), Arc::clone(&counts));
            std::thread::Builder::new()
                .name("passwords".into())
                .spawn(move || work(&jobs, &counts))?;
        }
        Ok(Self {
            queue,
            counts,
            nobodys: nobodys_hash()?.into(),
            client: None,
        })
    }

    /// The same threads for one client, who gets a quarter of the places at the most.
    /// Without one nobody's share is bounded.
    #[must_use]
    pub fn on_behalf_of(&self, client: Option<String>) -> Self {
        Self {
            client: client.map(Arc::from),
            ..self.clone()
        }
    }

    /// How much there is to do just now.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            waiting: self.counts.waiting.load(Ordering::Relaxed),
            running: self.counts.running.load(Ordering::Relaxed),
        }
    }

    /// Hashes a password with a new salt, to a PHC string.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many are waiting; others when hashing fails.
    pub async fn hash(&self, password: SecretString) -> Result<String, Error> {
        self.submit(move |memory| hash(&password, memory)).await?
    }

    /// Compares a password with a PHC string. Without one (nobody has that
    /// name), or with [`UNUSABLE`], it does the same work and never matches, so
    /// that time tells nothing. Another stored string that cannot be read never matches either.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many are waiting; others when hashing fails.
    pub async fn compare(
        &self,
        password: SecretString,
        stored: Option<&str>,
    ) -> Result<Comparison, Error> {
        let stored = stored.filter(|stored| *stored != UNUSABLE);
        let phc = stored.map_or_else(|| Arc::clone(&self.nobodys), Arc::from);
        let found = self
            .submit(move |memory| compare(&password, &phc, memory))
            .await??;
        Ok(Comparison {
            matches: found.matches && stored.is_some(),
            outdated: found.outdated,
        })
    }

    /// Does other work that keeps a core busy, such as judging a password, on
    /// the same threads and with the same bound.
    ///
    /// # Errors
    /// [`Error::Busy`] when too much is waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.submit(|_| work()).await
    }

    /// Queues work and waits for it. Where nobody waits for the answer any more
    /// by the time its turn comes, it is left undone.
    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let client = self.client.as_ref();
        let place = client
            .map(|client| Place::take(&self.counts, client))
            .transpose()?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            if !reply.is_closed() {
                let done = work(memory);
                drop(place); // before its answer can lead to the next
                let _ = reply.send(done);
            }
        });
        // Before a thread can have it.
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(job).map_err(|error| {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Error::Busy,
                TrySendError::Disconnected(_) => Error::Stopped,
            }
        })?;
        answer.await.map_err(|_| Error::Stopped)
    }
}

/// What one thread does until the last handle is gone.
fn work(jobs: &Mutex<Receiver<Job>>, counts: &Counts) {
    // Linux has a priority of each thread. A page is ready long before a hash is, and
    // would else wait for one.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
    let mut memory = Vec::new();
    loop {
        let job = lock(jobs).recv();
        match job {
            // Whoever waits for the answer of a job that panics is told that there
            // is none; the thread goes on.
            Ok(job) => {
                counts.running.fetch_add(1, Ordering::Relaxed);
                counts.waiting.fetch_sub(1, Ordering::Relaxed);
                if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
                    tracing::error!(event = "panic", "a job of the hashing threads panicked");
                }
                counts.running.fetch_sub(1, Ordering::Relaxed);
            }
            Err(_) => return,
        }
    }
}

fn params() -> Result<Params, Error> {
    Ok(Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_LENGTH))?)
}

fn hash(password: &SecretString, memory: &mut Vec<Block>) -> Result<String, Error> {
    let mut salt = [0; SALT_LENGTH];
    getrandom::fill(&mut salt)?;
    let mut output = [0; HASH_LENGTH];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params()?);
    derive(&argon2, password, &salt, &mut output, memory)?;
    to_phc(&salt, &output)
}

fn to_phc(salt: &[u8], output: &[u8]) -> Result<String, Error> {
    let phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()?)?,
        salt: Some(Salt::new(salt).map_err(format_error)?),
        hash: Some(Output::new(output).map_err(format_error)?),
    };
    Ok(phc.to_string())
}

fn format_error(error: phc::Error) -> Error {
    Error::Format(error.into())
}

/// A hash that no password has: random bytes in today's form.
fn nobodys_hash() -> Result<String, Error> {
    let (mut salt, mut output) = ([0; SALT_LENGTH], [0; HASH_LENGTH]);
    getrandom::fill(&mut salt)?;
    getrandom::fill(&mut output)?;
    to_phc(&salt, &output)
}

fn compare(
    password: &SecretString,
    phc: &str,
    memory: &mut Vec<Block>,
) -> Result<Comparison, Error> {
    let Some(stored) = Stored::read(phc) else {
        tracing::error!(
            event = "password_hash_unreadable",
            "a stored password hash cannot be read"
        );
        return Ok(Comparison {
            matches: false,
            outdated: false,
        });
    };
    let outdated = stored.algorithm != Algorithm::Argon2id
        || stored.version != Version::V0x13
        || stored.params != params()?;
    let mut output = vec![0; stored.output.len()];
    let argon2 = Argon2::new(stored.algorithm, stored.version, stored.params);
    derive(&argon2, password, &stored.salt, &mut output, memory)?;
    // Output compares in constant time.
    Ok(Comparison {
        matches: Output::new(&output).map_err(format_error)? == stored.output,
        outdated,
    })
}

struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn read(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&hash).ok()?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return None;
        }
        Some(Self {
            algorithm: hash.algorithm.as_str().parse().ok()?,
            version: Version::try_from(hash.version?).ok()?,
            params,
            salt: hash.salt?,
            output: hash.hash?,
        })
    }
}

fn derive(
    argon2: &Argon2<'_>,
    password: &SecretString,
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<(), Error> {
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let password = password.expose_secret().as_bytes();
    argon2.hash_password_into_with_memory(password, salt, output, memory.as_mut_slice())?;
    Ok(())
}
