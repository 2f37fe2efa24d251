//! The wire: takes connections and speaks HTTP/1.1 on them, each within limits that
//! hold before any of the app's own is asked. hyper does the speaking.

mod host;
mod limits;
mod patience;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use limits::Limits;
use patience::{Patient, Phase};

/// What hyper keeps of what it reads ahead and has not written yet, in bytes.
const BUFFER: usize = 64 * 1024;

/// The time for the body of this request, for who reads it.
#[derive(Debug, Clone, Copy)]
pub struct BodyTime(pub Duration);

/// Serves until `shutdown` is ready and then until the requests under way are
/// answered. Handlers find the peer as [`ConnectInfo`] and [`BodyTime`].
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.header_read_timeout(None) // in `patience.rs`
        .max_header_size(limits.head_bytes)
        .max_headers(limits.headers)
        .max_buf_size(BUFFER);
    let places = Arc::new(Semaphore::new(limits.connections));
    let ending = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            let (stream, peer) = Listener::accept(&mut listener).await;
            (place, stream, peer)
        };
        let (place, stream, peer) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let phase = Arc::new(Phase::default());
        let stream = TokioIo::new(Patient::new(stream, limits, Arc::clone(&phase)));
        let service = service(router.clone(), peer, limits.body, phase);
        let connection = ending.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    ending.shutdown().await;
}

/// The app for one connection.
fn service(
    router: Router,
    peer: SocketAddr,
    body: Duration,
    phase: Arc<Phase>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        let serving = phase.serving();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(BodyTime(body));
        let has_host = host::is_named(request.version(), request.headers());
        let answer = has_host.then(|| router.call(request));
        async move {
            let answer = match answer {
                Some(answer) => answer.await,
                None => Ok(bad_request()),
            };
            drop(serving);
            answer
        }
    })
}

/// What hyper says itself of a head that is none.
fn bad_request() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}
