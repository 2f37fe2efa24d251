//! `/static/…`: files that never change under their name.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::services::assets::{self, Asset};

const A_YEAR: &str = "public, max-age=31536000, immutable";

/// A static file by its hashed path, or an empty 404.
pub async fn show(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = assets::find(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = [(CACHE_CONTROL, A_YEAR), (ETAG, asset.etag.as_str())];
    if is_known(asset, &headers) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = [(CONTENT_TYPE, asset.content_type)];
    (kept, kind, asset.bytes.as_ref()).into_response()
}

/// Whether the client has this very file. `If-None-Match` compares weakly.
fn is_known(asset: &Asset, headers: &HeaderMap) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || opaque(tag) == opaque(&asset.etag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str, known: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(IF_NONE_MATCH, known.parse().unwrap());
        }
        show(Path(path.to_owned()), headers).await
    }

    #[tokio::test]
    async fn a_file_is_kept_for_a_year() {
        let path = assets::url("css/twostep.css").trim_start_matches("/static/");
        let response = get(path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(response.headers().get_all(CONTENT_TYPE).iter().count(), 1);
        assert_eq!(response.headers()[CACHE_CONTROL], A_YEAR);

        let etag = response.headers()[ETAG].to_str().unwrap().to_owned();
        for known in [
            &etag,
            etag.trim_start_matches("W/"),
            "*",
            &format!("\"x\", {etag}"),
        ] {
            let response = get(path, Some(known)).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(response.headers()[ETAG], etag);
        }
        assert_eq!(get(path, Some("\"x\"")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn anything_else_is_not_found() {
        for path in [
            "",
            "css/twostep.css",
            "../Cargo.toml",
            "css/twostep.0000000000000000.css",
        ] {
            assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND);
        }
    }
}
