//! Browser names for pages and emails, from a fixed list: no text of a `User-Agent` header
//! reaches them.

use woothee::parser::Parser;

const UNKNOWN: &str = "an unknown browser";

/// The browser and system of a `User-Agent`, as in `Firefox on Linux`. Clients can claim any
/// name, and an iPad that requests desktop pages claims to be a Mac.
pub fn describe(user_agent: &str) -> String {
    let found = Parser::new().parse(user_agent).unwrap_or_default();
    let browser = browser(found.name, user_agent).unwrap_or(UNKNOWN);
    match system(found.os, user_agent) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    }
}

/// Maps the library's name. It takes two other browsers for Safari.
fn browser(name: &str, user_agent: &str) -> Option<&'static str> {
    Some(match name {
        "Safari" if user_agent.contains(" OPT/") => "Opera",
        "Safari" if user_agent.contains(" DuckDuckGo/") || user_agent.contains(" Ddg/") => {
            "DuckDuckGo"
        }
        "Safari" => "Safari",
        "Chrome" => "Chrome",
        "Edge" => "Edge",
        "Firefox" => "Firefox",
        "Opera" => "Opera",
        "Vivaldi" => "Vivaldi",
        "SamsungBrowser" => "Samsung Internet",
        "Yandex Browser" => "Yandex Browser",
        "Internet Explorer" => "Internet Explorer",
        "Google Search App" => "the Google app",
        "Webview" => "an app",
        "HTTP Library" => "a program",
        _ => return None,
    })
}

/// Maps the library's name, without the version, because Windows 11 and macOS 26 report old
/// ones. The library doesn't know every version of Windows or BSD.
fn system(name: &str, user_agent: &str) -> Option<&'static str> {
    Some(match name {
        "Mac OSX" => "macOS",
        "iPhone" => "iPhone",
        "iPad" => "iPad",
        "iPod" => "iPod",
        "Android" => "Android",
        "ChromeOS" => "ChromeOS",
        "Linux" => "Linux",
        _ if user_agent.contains("Windows") => "Windows",
        _ if user_agent.contains("BSD ") => "BSD",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `User-Agent` headers of 2026.
    const KNOWN: &str = "\
Chrome on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36
Chrome on Windows: Mozilla/5.0 (Windows NT 11.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36
Edge on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0
Firefox on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0
Opera on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/124.0.0.0
Vivaldi on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Vivaldi/7.6.3797.63
Yandex Browser on Windows: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 YaBrowser/25.10.0.0 Safari/537.36
Internet Explorer on Windows: Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko
Safari on macOS: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15
Chrome on macOS: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36
Firefox on macOS: Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0
DuckDuckGo on macOS: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15 Ddg/18.6
Safari on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1
Chrome on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0.7499.92 Mobile/15E148 Safari/604.1
Firefox on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15
Edge on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/143.0.0.0 Mobile/15E148 Safari/604.1
Opera on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.7 Mobile/15E148 Safari/604.1 OPT/6.1.3
DuckDuckGo on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15
the Google app on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/393.0.8 Mobile/15E148 Safari/604.1
an app on iPhone: Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148
Safari on iPad: Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1
Chrome on Android: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36
Edge on Android: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36 EdgA/143.0.0.0
Firefox on Android: Mozilla/5.0 (Android 16; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0
Samsung Internet on Android: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36
Opera on Android: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 OPR/93.0.0.0
an app on Android: Mozilla/5.0 (Linux; Android 15; Pixel 9 Build/AP4A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/143.0.0.0 Mobile Safari/537.36
Firefox on Linux: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0
Chrome on Linux: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36
Chrome on ChromeOS: Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36
Firefox on BSD: Mozilla/5.0 (X11; OpenBSD amd64; rv:145.0) Gecko/20100101 Firefox/145.0
a program: curl/8.14.1
";

    fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        KNOWN.lines().filter_map(|line| line.split_once(": "))
    }

    #[test]
    fn current_browsers_are_recognized_with_their_systems() {
        assert_eq!(known().count(), 32);
        for (name, user_agent) in known() {
            assert_eq!(describe(user_agent), name, "{user_agent}");
        }
    }

    #[test]
    fn other_user_agents_are_an_unknown_browser() {
        let long = "x".repeat(5_000);
        for user_agent in [
            "",
            "-",
            "Teapot/1.0",
            "Mozilla/5.0",
            "Firefox",
            "<script>alert(1)</script>",
            "https://evil.example/login",
            "a\r\nb\u{202e}\u{0}",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mobile DoCoMo/2.0 KDDI-evil SoftBank/1.0/evil",
            &long,
        ] {
            assert_eq!(describe(user_agent), UNKNOWN, "{user_agent}");
        }
        let windows = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1";
        assert_eq!(describe(windows), "an unknown browser on Windows");
    }

    #[test]
    fn no_text_of_the_header_is_repeated() {
        for (_, user_agent) in known() {
            for end in 0..user_agent.len() {
                let claimed = format!("{}evil.example", &user_agent[..end]);
                assert!(!describe(&claimed).contains("evil"), "{claimed}");
                let claimed = format!("evil.example {}", &user_agent[end..]);
                assert!(!describe(&claimed).contains("evil"), "{claimed}");
            }
        }
    }
}
