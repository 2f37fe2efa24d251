//! Reading a cookie.

use axum::http::{HeaderMap, header};

/// The value of a cookie. Names and values are compared as they are: a parser that
/// decodes `%73ession` lets anybody set what a name's `__Host-` or `__Secure-`
/// keeps them from, and one that gives up at a byte of another cookie logs people
/// out. Of two with the name neither is believed.
pub fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        });
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => std::str::from_utf8(value).ok(),
    }
}
