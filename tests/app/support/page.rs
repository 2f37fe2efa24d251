//! A response of the app, parsed as in a browser.

use data_encoding::HEXLOWER;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use scraper::{Html, Selector};
use sha2::{Digest, Sha256};

pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    pub async fn read(response: reqwest::Response) -> Self {
        let is_mail = response.url().path().ends_with("/html");
        let page = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned(),
        };
        let kind = page.header("content-type").unwrap_or_default();
        // Tests write emails too, which need not be valid HTML.
        if kind.starts_with("text/html") && !is_mail {
            keep(&page.body);
        }
        page
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// The `Set-Cookie` of the session cookie.
    pub fn set_cookie(&self) -> Option<&str> {
        let names = ["session=", "__Host-session="];
        self.set_cookies()
            .into_iter()
            .find(|cookie| names.iter().any(|name| cookie.starts_with(name)))
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        let cookies = self.headers.get_all(SET_COOKIE).iter();
        cookies.map(|cookie| cookie.to_str().unwrap()).collect()
    }

    /// Asserts a 303 to exactly this path.
    #[track_caller]
    pub fn redirects_to(&self, path: &str) {
        let found = (self.status, self.location());
        assert_eq!(found, (303, Some(path)), "{}", self.text());
    }

    pub fn html(&self) -> Html {
        Html::parse_document(&self.body)
    }

    /// The texts of the elements that match a CSS selector.
    pub fn all(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        self.html()
            .select(&selector)
            .map(|element| collapse_spaces(&element.text().collect::<String>()))
            .collect()
    }

    /// The text of the first element that matches a CSS selector.
    pub fn first(&self, selector: &str) -> Option<String> {
        self.all(selector).into_iter().next()
    }

    /// The values of an attribute of the elements that match a CSS selector.
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        self.html()
            .select(&selector)
            .filter_map(|element| element.attr(name).map(str::to_owned))
            .collect()
    }

    pub fn value_of(&self, field: &str) -> Option<String> {
        self.attributes(&format!("input[name={field}]"), "value")
            .into_iter()
            .next()
    }

    pub fn error_at(&self, field: &str) -> Option<String> {
        self.first(&format!("#{field}-error"))
    }

    /// The flash messages, warnings and error summaries on the page.
    pub fn alerts(&self) -> Vec<String> {
        self.all("main [role=alert], main [role=status]")
    }

    pub fn says(&self, text: &str) -> bool {
        self.alerts().iter().any(|alert| alert.contains(text))
    }

    pub fn text(&self) -> String {
        self.all("body").join(" ")
    }
}

/// Writes a page to the folder in `KEEP_PAGES`, for `.ci/html`. Pages with the same elements,
/// which differ only in text, are written once.
pub fn keep(html: &str) {
    #[expect(clippy::disallowed_methods, reason = "not a setting of the app")]
    let Ok(folder) = std::env::var("KEEP_PAGES") else {
        return;
    };
    // A response to HEAD, or one that repeats input which no browser can send.
    if html.is_empty() || html.contains('\u{1b}') {
        return;
    }
    let page = Html::parse_document(html);
    let mut shape = Sha256::new();
    for element in page.select(&Selector::parse("*").unwrap()) {
        let element = element.value();
        shape.update(format!("<{}", element.name()));
        for (name, value) in element.attrs() {
            let matters = ["class", "id", "for", "type", "role"].contains(&name);
            shape.update(format!(" {name}={}", if matters { value } else { "" }));
        }
    }
    let name = HEXLOWER.encode(&shape.finalize()[..8]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(format!("{folder}/{name}.html"), html).unwrap();
}

/// Collapses white space as browsers do.
fn collapse_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
