//! `/static/…`

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::services::assets;

static FILES: LazyLock<Router> = LazyLock::new(|| {
    // memory-serve logs a line per file.
    let files = with_default(NoSubscriber::new(), || assets::files().into_router());
    Router::new().nest("/static", files)
});

/// Serves a static file, or an empty 404.
pub async fn show(request: Request) -> Response {
    let mut response = FILES.clone().oneshot(request).await.into_response();
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    let with_charset = match kind {
        Some(b"text/css") => "text/css; charset=utf-8",
        Some(b"text/javascript") => "text/javascript; charset=utf-8",
        _ => return response,
    };
    let with_charset = HeaderValue::from_static(with_charset);
    response.headers_mut().insert(CONTENT_TYPE, with_charset);
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING};

    use super::*;

    async fn get(path: &str, encoding: &str) -> Response {
        let request = Request::get(path).header(ACCEPT_ENCODING, encoding);
        show(request.body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn a_name_without_its_hash_is_not_cached() {
        let response = get("/static/css/app.css", "br").await;
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        for path in [
            "",
            "css/app.0000000000000000.css",
            "../Cargo.toml",
            "LICENSE",
        ] {
            let response = get(&format!("/static/{path}"), "br").await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(response.headers().get(CACHE_CONTROL), None);
        }
    }

    #[tokio::test]
    async fn text_is_compressed_for_browsers_that_accept_it() {
        for (path, accepted, is_compressed) in [
            ("css/app.css", "gzip, deflate, br", true),
            ("css/app.css", "br;q=0", false),
            ("css/app.css", "gzip", false),
            ("vendor/intl-tel-input-29.5.1/flags.webp", "br", false),
        ] {
            let response = get(assets::url(path), accepted).await;
            let encoding = response.headers().get(CONTENT_ENCODING);
            assert_eq!(encoding.is_some(), is_compressed, "{path} {accepted}");
        }
    }
}
