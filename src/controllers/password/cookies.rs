//! What a reset keeps in the browser: the link's token, so that it is in no
//! address of ours, and that a link has expired, for who has no session to keep
//! a message in (a GET makes none).

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

use crate::config::Environment;
use crate::middleware::cookie;
use crate::models::rate_limit::RESET_LIFE;
use crate::models::token::Token;
use crate::state::AppState;

/// Long enough to follow a redirect, in seconds.
const EXPIRED_LIFE: i64 = 60;

/// A cookie of this feature: where it is sent, and for how long.
struct Kept {
    name: &'static str,
    path: &'static str,
    life: i64,
}

const TOKEN: Kept = Kept {
    name: "reset_token",
    path: "/reset_password",
    life: RESET_LIFE, // as long as the link itself can live
};

const EXPIRED: Kept = Kept {
    name: "reset_expired",
    path: "/reset_password_request",
    life: EXPIRED_LIFE,
};

impl Kept {
    /// `__Secure-`, since `__Host-` allows no path but `/`.
    fn name(&self, app: &AppState) -> String {
        match app.config.environment {
            Environment::Production => format!("__Secure-{}", self.name),
            Environment::Development => self.name.to_owned(),
        }
    }

    fn cookie(&self, app: &AppState, value: &str) -> Cookie<'static> {
        Cookie::build((self.name(app), value.to_owned()))
            .path(self.path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(app.config.environment == Environment::Production)
            .max_age(time::Duration::seconds(self.life))
            .build()
    }
}

/// The token that the browser keeps, whatever it is worth.
pub(super) fn token(app: &AppState, headers: &HeaderMap) -> Option<Token> {
    cookie::value(headers, &TOKEN.name(app)).map(Token::received)
}

/// Keeps the token of a link that stands.
pub(super) fn keep_token(app: &AppState, jar: CookieJar, token: &Token) -> CookieJar {
    jar.add(TOKEN.cookie(app, token.expose()))
}

/// Forgets the token of a link that was used.
pub(super) fn forget_token(app: &AppState, jar: CookieJar) -> CookieJar {
    jar.remove(TOKEN.cookie(app, ""))
}

/// Keeps for the next page that a link has expired.
pub(super) fn keep_expired(app: &AppState, jar: CookieJar) -> CookieJar {
    jar.add(EXPIRED.cookie(app, "1"))
}

/// Whether a link has just expired.
pub(super) fn has_expired(app: &AppState, headers: &HeaderMap) -> bool {
    cookie::value(headers, &EXPIRED.name(app)).is_some()
}

/// Forgets it: it is told once.
pub(super) fn forget_expired(app: &AppState, jar: CookieJar) -> CookieJar {
    jar.remove(EXPIRED.cookie(app, ""))
}
