//! A short-lived cookie of one page. It keeps the token of an emailed link, so that no
//! address of ours holds it, or a message for a visitor without a session.

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

use crate::config::Environment;
use crate::middleware::cookie;
use crate::state::AppState;

/// Production adds `__Host-` to the name, so that no other host of the domain can set the
/// cookie. The prefix demands the path `/`.
pub(super) struct PageCookie {
    name: &'static str,
    /// In seconds.
    life: i64,
}

impl PageCookie {
    pub(super) const fn new(name: &'static str, life: i64) -> Self {
        Self { name, life }
    }

    /// The value that the browser sent, which may be forged.
    pub(super) fn value<'a>(&self, app: &AppState, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie::value(headers, &self.full_name(app))
    }

    pub(super) fn set(&self, app: &AppState, jar: CookieJar, value: &str) -> CookieJar {
        jar.add(self.cookie(app, value))
    }

    pub(super) fn remove(&self, app: &AppState, jar: CookieJar) -> CookieJar {
        jar.remove(self.cookie(app, ""))
    }

    fn full_name(&self, app: &AppState) -> String {
        match app.config.environment {
            Environment::Production => format!("__Host-{}", self.name),
            Environment::Development => self.name.to_owned(),
        }
    }

    /// `Lax`, because the visitor arrives from an email.
    fn cookie(&self, app: &AppState, value: &str) -> Cookie<'static> {
        Cookie::build((self.full_name(app), value.to_owned()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(app.config.environment == Environment::Production)
            .max_age(time::Duration::seconds(self.life))
            .build()
    }
}
