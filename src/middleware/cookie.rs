//! Reads and builds cookies.

use axum::http::{HeaderMap, header};
use axum_extra::extract::cookie::{Cookie, SameSite};

use crate::config::Environment;
use crate::state::AppState;

/// The cookie that identifies a browser: see `models/device`.
pub const DEVICE: &str = "device";

/// Production adds `__Host-` to the name, so that no other host of the domain can set the
/// cookie. The prefix demands the path `/` and `Secure`. The
/// device cookie has a prefix in development too, since it outlives other apps on localhost.
fn full_name(app: &AppState, name: &str) -> String {
    match app.config.environment {
        Environment::Production => format!("__Host-{name}"),
        Environment::Development if name == DEVICE => format!("twostep_{name}"),
        Environment::Development => name.to_owned(),
    }
}

/// A cookie that no script reads. It is `Lax`, so that a user who follows a link in an email
/// arrives logged in.
pub fn build(
    app: &AppState,
    name: &str,
    value: String,
    max_age_seconds: Option<i64>,
) -> Cookie<'static> {
    let mut cookie = Cookie::build((full_name(app, name), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.environment == Environment::Production)
        .build();
    cookie.set_max_age(max_age_seconds.map(time::Duration::seconds));
    cookie
}

pub fn read<'a>(app: &AppState, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    value(headers, &full_name(app, name))
}

/// The value of a cookie, without decoding: a decoded `%5F_Host-session` would get around the
/// protection of the `__Host-` prefix. Invalid bytes in another cookie don't matter. If a name
/// comes twice, neither value counts.
pub fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        });
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}
