//! A connection that is given up when its client stalls: between requests, in the head of
//! one, or with an answer that it does not take. hyper has one time-out for the first two,
//! and sets a timer for each request; here they are two, and a request sets none.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

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

/// Wakes a task when something has lasted for too long.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is past this moment. Wakes the task then, if not. The timer is set anew
    /// where it would ring too late or rang too early, so that a moment which moves on
    /// with each request costs next to nothing.
    fn is_past(&mut self, moment: Instant, context: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(moment)));
        if sleep.deadline() > moment {
            sleep.as_mut().reset(moment);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if Instant::now() >= moment {
                return true;
            }
            sleep.as_mut().reset(moment);
        }
        false
    }
}

/// The connection.
pub(super) struct Patient {
    stream: TcpStream,
    limits: Limits,
    phase: Arc<Phase>,
    /// The phase in which it was read last.
    read_in: usize,
    /// Since when it has been waited for a request: the last one's answer is written.
    idle_since: Instant,
    /// When the first byte of the request's head came.
    head_since: Option<Instant>,
    /// Since when nobody has taken anything of an answer.
    answer_since: Option<Instant>,
    waiting: Alarm,
    writing: Alarm,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, limits: Limits, phase: Arc<Phase>) -> Self {
        Self {
            stream,
            limits,
            read_in: phase.now(),
            phase,
            idle_since: Instant::now(),
            head_since: None,
            answer_since: None,
            waiting: Alarm::default(),
            writing: Alarm::default(),
        }
    }

    /// A write that was tried: one that moves nothing may last for a while only.
    fn written<T>(&mut self, context: &mut Context<'_>, tried: Poll<Result<T>>) -> Poll<Result<T>> {
        if tried.is_ready() {
            self.answer_since = None;
            self.idle_since = Instant::now();
            return tried;
        }
        let since = *self.answer_since.get_or_insert_with(Instant::now);
        if self.writing.is_past(since + self.limits.answer, context) {
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let phase = this.phase.now();
        if this.read_in != phase {
            // The head was whole, or there is a next one to come.
            this.read_in = phase;
            this.idle_since = Instant::now();
            this.head_since = None;
        }
        if !phase.is_multiple_of(2) {
            return read;
        }
        if buffer.filled().len() > before && this.head_since.is_none() {
            // Most heads come in one piece, and are not read for again.
            this.head_since = Some(Instant::now());
            return read;
        }
        let (end, what) = match this.head_since {
            Some(since) => (
                since + this.limits.head,
                "the head of the request does not end",
            ),
            None => (
                this.idle_since + this.limits.idle,
                "there is no next request",
            ),
        };
        // Asked of data that came, too: who sends without end never has us wait.
        if this.waiting.is_past(end, context) {
            return Poll::Ready(Err(timed_out(what)));
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
