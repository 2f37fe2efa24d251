//! The headers of every response, errors and redirects included.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::config::Environment;

/// Allows only our own scripts, styles, images and forms, and Gravatar's images.
macro_rules! policy {
    () => {
        "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self' data: https://www.gravatar.com; font-src 'self'; connect-src 'self'; \
        manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    };
}

const POLICY: &str = policy!();

/// The policy of a page that shows another of our pages in a frame.
pub const WITH_OWN_FRAMES: &str = concat!(policy!(), "; frame-src 'self'");

/// Browser features that no page uses.
const FEATURES: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), \
    encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), \
    screen-wake-lock=(), usb=(), xr-spatial-tracking=()";

/// With `no-referrer` instead of `same-origin`, browsers would send `Origin: null` with our own
/// forms, and the CSRF layer would refuse them.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (HeaderName::from_static("permissions-policy"), FEATURES),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Two years, as the preload lists of browsers recommend.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// The headers of every response. No cache may store one, except static files, which bring
/// their own `Cache-Control`.
pub fn for_environment(environment: Environment) -> HeaderMap {
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(headers);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if environment == Environment::Production {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    headers
}

/// Adds these headers, unless the response has its own.
pub fn add(headers: &HeaderMap, mut response: Response) -> Response {
    let own = std::mem::replace(response.headers_mut(), headers.clone());
    response.headers_mut().extend(own);
    response
}
