//! The HTTP/1.1 server: hyper on each connection, within limits that `axum::serve` lacks.

use std::convert::Infallible;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// The largest request line and headers, in bytes. A browser with cookies sends a few KiB.
const MAX_HEAD: usize = 16 * 1024;

/// The most headers of a request.
const MAX_HEADERS: usize = 100;

/// The most bytes of a connection that hyper keeps in memory.
const MAX_BUFFER: usize = 64 * 1024;

/// The pause after a connection that could not be accepted, and between two log lines.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Limits against clients that are slow or many.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections. Further ones wait in the system's queue.
    pub connections: usize,
    /// The time until a connection's next request line and headers are complete. It includes
    /// the time that the connection is idle.
    pub header_timeout: Duration,
    /// The time for the body of a form.
    pub body_timeout: Duration,
    /// How long a client may read nothing of a response.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512, // half of the usual limit of open files
            // Longer than the 60 seconds of common proxies: they have to close an idle
            // connection first, or a request may be lost on it.
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// [`Limits::body_timeout`] as an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout(pub Duration);

/// Serves until `shutdown` completes and all running requests are answered. Each request has
/// the extensions [`ConnectInfo`] and [`BodyTimeout`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    let mut failure_logged = None;
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, accept(&listener, &mut failure_logged).await)
        };
        let (permit, (stream, peer)) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_timeout));
        let router = router.clone();
        let service =
            service_fn(move |request| respond(router.clone(), request, peer, limits.body_timeout));
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection failed");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Accepts the next connection. Retries after a failure, which is usually that the program
/// has no file descriptor left until another connection ends.
async fn accept(listener: &TcpListener, logged: &mut Option<Instant>) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client has closed the connection already.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_INTERVAL) {
                    tracing::error!(event = "accept_failed", %error, "cannot accept connections");
                    *logged = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Passes a request to the app.
async fn respond(
    router: Router,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    body_timeout: Duration,
) -> Result<Response, Infallible> {
    if !has_valid_host(&request) {
        return Ok((StatusCode::BAD_REQUEST, [(CONNECTION, "close")]).into_response());
    }
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(BodyTimeout(body_timeout));
    router.oneshot(request).await
}

/// Whether the request names one host, as RFC 9112, 3.2 requires: a proxy that sees another
/// host than we do would apply another site's rules. HTTP/1.0 needs none; an empty one is valid.
fn has_valid_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next().map(HeaderValue::as_bytes), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        // An authority could also name a user.
        (Some(host), None) => {
            host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
        }
        (Some(_), Some(_)) => false,
    }
}
