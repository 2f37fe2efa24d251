//! A connection that is given up when its client stalls. hyper has one time-out for
//! the head of a request and for the wait before it; here is a shorter one for the head
//! alone, and one for answers that nobody takes.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::limits::Limits;

/// Where a connection stands: odd while a request is in the app's hands, and another
/// number for each.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicUsize);

/// A request is in the app's hands until this is dropped.
pub(super) struct Serving(Arc<Phase>);

impl Phase {
    pub(super) fn serving(self: &Arc<Self>) -> Serving {
        self.0.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The time that something may still take, where it has begun.
#[derive(Default)]
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    fn begin(&mut self, time: Duration) {
        if self.0.is_none() {
            self.0 = Some(Box::pin(sleep(time)));
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }

    /// Ready once it is over. Wakes the task then.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let sleep = self.0.as_mut();
        sleep.is_some_and(|sleep| sleep.as_mut().poll(context).is_ready())
    }
}

/// The connection.
pub(super) struct Patient {
    stream: TcpStream,
    limits: Limits,
    phase: Arc<Phase>,
    /// The phase in which it was read last.
    read_in: usize,
    head: Deadline,
    answer: Deadline,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, limits: Limits, phase: Arc<Phase>) -> Self {
        Self {
            stream,
            limits,
            read_in: phase.now(),
            phase,
            head: Deadline::default(),
            answer: Deadline::default(),
        }
    }

    /// A write that was tried: one that moves nothing may last for a while only.
    fn written<T>(&mut self, context: &mut Context<'_>, tried: Poll<Result<T>>) -> Poll<Result<T>> {
        if tried.is_ready() {
            self.answer.forget();
            return tried;
        }
        self.answer.begin(self.limits.answer);
        if self.answer.is_over(context) {
            return Poll::Ready(Err(timed_out("nobody takes the answer")));
        }
        Poll::Pending
    }
}

fn timed_out(what: &'static str) -> Error {
    Error::new(ErrorKind::TimedOut, what)
}

impl AsyncRead for Patient {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        let phase = this.phase.now();
        if this.read_in != phase {
            // The head was whole, or there is a next one to come.
            this.read_in = phase;
            this.head.forget();
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let is_head = phase.is_multiple_of(2);
        if is_head && buffer.filled().len() > before {
            this.head.begin(this.limits.head);
        }
        // Asked of data that came, too: who sends without end never has us wait.
        if this.head.is_over(context) {
            return Poll::Ready(Err(timed_out("the head of the request does not end")));
        }
        read
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
