//! The headers that every response carries, errors and redirects included.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::config::Environment;

/// No script, style, picture or form but our own, pictures of Gravatar aside.
macro_rules! policy {
    () => {
        "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self' data: https://www.gravatar.com; font-src 'self'; connect-src 'self'; \
        manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    };
}

const POLICY: &str = policy!();

/// The same for a page that shows another of ours in a frame.
pub const WITH_OWN_FRAMES: &str = concat!(policy!(), "; frame-src 'self'");

/// Browser features that no page uses.
const FEATURES: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), \
    encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), \
    screen-wake-lock=(), usb=(), xr-spatial-tracking=()";

/// `same-origin` and not `no-referrer`: with that, browsers send `Origin: null`
/// with our own forms, and the CSRF layer could not tell them from others'.
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

/// Two years, the least that browsers' preload lists take with subdomains.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What every response carries. What says nothing of caching must not be kept anywhere:
/// only static files do.
pub fn of(environment: Environment) -> HeaderMap {
    let of_all = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(of_all);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if environment == Environment::Production {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    headers
}

/// Adds these headers, except where a response brings its own.
pub fn add(headers: &HeaderMap, mut response: Response) -> Response {
    let own = std::mem::replace(response.headers_mut(), headers.clone());
    response.headers_mut().extend(own);
    response
}
