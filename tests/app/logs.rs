//! What a test's own thread wrote to the log.
//!
//! One subscriber serves the whole test binary. A subscriber a test would race:
//! tracing remembers for each place in the code whether anybody listens, and a
//! test on another thread may ask first.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use tracing::Level;

static INSTALLED: Once = Once::new();

thread_local! {
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BYTES.with_borrow_mut(|all| all.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to keep the log, if nobody did.
pub fn keep() {
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(Level::INFO)
            .with_writer(|| ThisThread)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// This thread's lines since the last time, or since [`keep`].
pub fn take() -> Vec<String> {
    let bytes = BYTES.take();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(str::to_owned).collect()
}
