//! A proxy that sends each request to the next instance.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::net::TcpListener;

/// The proxy. It ends with the test.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    instances: Arc<Mutex<Vec<SocketAddr>>>,
    requests: Arc<AtomicUsize>,
    client: Client,
}

impl Proxy {
    pub async fn start(instances: Vec<SocketAddr>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0);
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            instances: Arc::new(Mutex::new(instances)),
            requests: Arc::default(),
            client: client.build().unwrap(),
        };
        let router = Router::new().fallback(forward).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        proxy
    }

    /// An instance is somewhere else from now on.
    pub fn replace(&self, number: usize, instance: SocketAddr) {
        self.instances.lock().unwrap()[number] = instance;
    }

    fn next(&self) -> SocketAddr {
        let instances = self.instances.lock().unwrap();
        instances[self.requests.fetch_add(1, Ordering::SeqCst) % instances.len()]
    }
}

/// Where an instance cannot be reached at all, the next one is asked. One that breaks
/// off may have done what it was asked: that is 502, as proxies say it.
async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    for _ in 0..2 {
        let url = format!("http://{}{}", proxy.next(), parts.uri);
        let request = proxy.client.request(parts.method.clone(), url);
        let request = request.headers(parts.headers.clone()).body(body.clone());
        match request.send().await {
            Ok(answer) => return passed_on(answer).await,
            Err(error) if error.is_connect() => {}
            Err(_) => break,
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

async fn passed_on(answer: reqwest::Response) -> Response {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let Ok(body) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
