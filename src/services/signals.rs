//! The program is asked to end: Ctrl-C, or SIGTERM from a supervisor. Who asks twice
//! does not want to wait. And it is told that a file is as long as it may be, which is
//! no reason to end.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears the signals from the moment it is made.
pub struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl Signals {
    /// Begins to listen: from now on none of these signals ends the program by itself.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        outlive_long_files()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one, and returns the status of a program that it ends, as
    /// shells tell it.
    #[cfg(unix)]
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }

    /// Begins to listen.
    #[cfg(not(unix))]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for Ctrl-C, and returns the status of a program that it ends.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        130
    }
}

/// At the limit of a file's size (`ulimit -f`) a write fails, as on a full disk, and the
/// signal that comes with it would end the program. Nobody waits for it here: what counts
/// is that there is a handler, and tokio leaves that in place.
#[cfg(target_os = "linux")]
fn outlive_long_files() -> std::io::Result<()> {
    let too_long = rustix::process::Signal::XFSZ.as_raw();
    signal(SignalKind::from_raw(too_long)).map(drop)
}
