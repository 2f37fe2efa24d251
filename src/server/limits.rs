//! What one client, and all of them together, may take of the wire.

use std::time::Duration;

/// How much and how long is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that are open at once. Further ones wait in the system's queue.
    pub connections: usize,
    /// Bytes of a request's line and headers together.
    pub head_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// The time for line and headers, from their first byte.
    pub head: Duration,
    /// The time for a form's body, from the end of the headers.
    pub body: Duration,
    /// The time until a connection's next request is whole: how long it may be idle.
    pub idle: Duration,
    /// How long a client may take nothing of an answer.
    pub answer: Duration,
}

/// Half of the 1,024 files that a program may have open where nobody says otherwise; a
/// browser's longest head with cookies has a few KiB; and a proxy that keeps its
/// connections open (nginx and its like: 60 seconds) closes them before we do, so that
/// no request is lost on one that is being closed.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_bytes: 16 * 1024,
            headers: 100,
            head: Duration::from_secs(10),
            body: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            answer: Duration::from_secs(30),
        }
    }
}
