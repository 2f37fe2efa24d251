//! A short-lived cookie of one page. It keeps the token of an emailed link, so that no
//! address of ours holds it, or a message for a visitor without a session.

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;

use crate::middleware::cookie;
use crate::state::AppState;

pub(super) struct PageCookie {
    name: &'static str,
    max_age_seconds: i64,
}

impl PageCookie {
    pub(super) const fn new(name: &'static str, max_age_seconds: i64) -> Self {
        Self {
            name,
            max_age_seconds,
        }
    }

    /// The value that the browser sent, which may be forged.
    pub(super) fn value<'a>(&self, app: &AppState, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie::read(app, headers, self.name)
    }

    pub(super) fn set(&self, app: &AppState, jar: CookieJar, value: &str) -> CookieJar {
        let max_age = Some(self.max_age_seconds);
        jar.add(cookie::build(app, self.name, value.to_owned(), max_age))
    }

    pub(super) fn remove(&self, app: &AppState, jar: CookieJar) -> CookieJar {
        jar.remove(cookie::build(app, self.name, String::new(), None))
    }
}
