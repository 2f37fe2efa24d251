//! Where to go after a form: a path of this site, or nothing.

use url::Url;

/// Longest path that is taken along.
const MAX_LENGTH: usize = 512;

/// A path of this site that a browser can be sent to: one leading `/`, printable
/// ASCII, and nothing that a browser could read as another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// Reads `next`. Anything that is not plainly a local path is `None`, and so
    /// is the log-out page, to which nobody wants to return.
    pub fn parse(text: &str) -> Option<Self> {
        let after_slash = text.strip_prefix('/')?;
        let harmless = text.len() <= MAX_LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !starts_with_escaped_separator(after_slash)
            && stays_here(text);
        harmless.then(|| Self(text.to_owned()))
    }

    /// Reads `next` as a browser sent it. No page of ours sends one that is refused,
    /// so that is logged (ASVS 16.3.3).
    pub fn received(text: &str) -> Option<Self> {
        let path = Self::parse(text);
        if path.is_none() && !text.is_empty() {
            tracing::warn!(event = "next_refused", "a next that is no local path");
        }
        path
    }

    /// The home page.
    pub fn home() -> Self {
        Self("/home".to_owned())
    }

    /// The path with its query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `%2f`, `%5c` and control characters right after the slash: a program that
/// decodes once more than it should would read `//` or a broken header.
fn starts_with_escaped_separator(after_slash: &str) -> bool {
    let start: String = after_slash
        .chars()
        .take(3)
        .collect::<String>()
        .to_ascii_lowercase();
    start == "%2f" || start == "%5c" || start.starts_with("%0")
}

/// What a browser makes of it (WHATWG URL: dot segments go, `%2e` among them)
/// is on the same host, holds no `//`, and is not the log-out.
fn stays_here(text: &str) -> bool {
    let Ok(here) = Url::parse("http://here.invalid/") else {
        return false;
    };
    let Ok(there) = here.join(text) else {
        return false;
    };
    there.origin() == here.origin()
        && there.username().is_empty()
        && !there.path().contains("//")
        && there.path() != "/logout"
        && !text.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_are_taken_as_they_are() {
        for path in [
            "/",
            "/home",
            "/user/harry",
            "/user/h%61rry?tab=1&x=%2f%2fevil.example",
            "/edit_profile#about",
            "/reauth?next=%2Fenable_2fa",
            "/a?b=//c",
            "/./home",
        ] {
            assert_eq!(LocalPath::parse(path).unwrap().as_str(), path);
        }
    }

    /// ASVS 1.5.3
    #[test]
    fn everything_else_is_refused() {
        for path in [
            "",
            "home",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " /home",
            "/home ",
            "/ho me",
            "/%2fevil.example",
            "/%2F%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:x=y",
            "/%0a/evil.example",
            "/.//evil.example",
            "/..//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "/%2e%2e//evil.example",
            "/home//evil.example",
            "https://evil.example",
            "https:/evil.example",
            "http:evil.example",
            "javascript:alert(1)",
            "/\u{e9}",
            "/home\0",
            "/home\r\nSet-Cookie: x=y",
            "/logout",
            "/logout?x=1",
            "/a/../logout",
        ] {
            assert_eq!(LocalPath::parse(path), None, "{path:?}");
        }
    }

    /// ASVS 4.2.5
    #[test]
    fn a_path_has_at_most_512_bytes() {
        let longest = format!("/{}", "a".repeat(511));
        assert!(LocalPath::parse(&longest).is_some());
        assert!(LocalPath::parse(&format!("{longest}a")).is_none());
    }
}
