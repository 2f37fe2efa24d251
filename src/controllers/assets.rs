//! `/static/…`: files that never change under their name.

use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
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
    let varies = asset.small.is_some().then_some([(VARY, "accept-encoding")]);
    if is_known(asset, &headers) {
        return (StatusCode::NOT_MODIFIED, kept, varies, ()).into_response();
    }
    let kind = [(CONTENT_TYPE, asset.content_type)];
    match &asset.small {
        Some(small) if takes_brotli(&headers) => {
            let coding = [(CONTENT_ENCODING, "br")];
            (kept, varies, kind, coding, *small).into_response()
        }
        _ => (kept, varies, kind, asset.bytes).into_response(),
    }
}

/// Whether `Accept-Encoding` names brotli, and not to refuse it.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().trim_start_matches(['q', 'Q', '=']);
        name.trim().eq_ignore_ascii_case("br") && weight.parse().is_ok_and(|it: f32| it > 0.0)
    })
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

    #[test]
    fn brotli_goes_to_whom_it_suits() {
        for (accepted, takes) in [
            ("br", true),
            ("gzip, deflate, br", true),
            ("gzip;q=0.5, BR ; q=0.1", true),
            ("br;q=0", false),
            ("br;q=0.000", false),
            ("br;q=x", false),
            ("gzip, deflate", false),
            ("brotli", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(takes_brotli(&headers), takes, "{accepted}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
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
