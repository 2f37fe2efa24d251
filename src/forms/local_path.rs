//! The target of a redirect after a form: a path of this site.

use url::Url;

/// In bytes.
const MAX_LENGTH: usize = 512;

/// A path of this site: one leading `/`, printable ASCII, and nothing that a browser could
/// take for another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// Parses `next`. Anything but a local path is `None`, and so is the logout page.
    pub fn parse(text: &str) -> Option<Self> {
        let after_slash = text.strip_prefix('/')?;
        let is_local = text.len() <= MAX_LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !starts_with_escaped_separator(after_slash)
            && resolves_locally(text);
        is_local.then(|| Self(text.to_owned()))
    }

    /// Parses `next` from a request. Our pages only send valid paths, so a refused one is
    /// logged (ASVS 16.3.3).
    pub fn received(text: &str) -> Option<Self> {
        let path = Self::parse(text);
        if path.is_none() && !text.is_empty() {
            tracing::warn!(event = "next_refused", "next is not a local path");
        }
        path
    }

    pub fn home() -> Self {
        Self("/home".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Finds `%2f`, `%5c` and control characters after the slash: a program that decodes once
/// too often would read `//` or a broken header.
fn starts_with_escaped_separator(after_slash: &str) -> bool {
    let start: String = after_slash
        .chars()
        .take(3)
        .collect::<String>()
        .to_ascii_lowercase();
    start == "%2f" || start == "%5c" || start.starts_with("%0")
}

/// Resolves the path as a browser does, which removes dot segments and `%2e`. The result
/// must stay on the host, without `//`, and not be the logout page.
fn resolves_locally(text: &str) -> bool {
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
    fn local_paths_are_accepted_unchanged() {
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
    fn anything_but_a_local_path_is_refused() {
        for path in [
            "",
            "home",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/home\\evil",
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
