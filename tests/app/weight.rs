//! The weight of a first visit, and the classes in the stylesheets.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use reqwest::Method;
use reqwest::header::ACCEPT_ENCODING;

use crate::support::TestApp;

/// The maximum bytes of the login page and its files, compressed. The documentation promises
/// 45 KiB; today it is about 17.
const MAX_BYTES: usize = 20 * 1024;

#[tokio::test]
async fn a_first_visit_to_the_login_page_is_light() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let page = browser.get("/login").await;
    let mut bytes = page.body.len();
    let linked = page.attributes("link[href]", "href").into_iter();
    let sources = page.attributes("[src]", "src").into_iter();
    let files: BTreeSet<String> = linked.chain(sources).collect();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let request = browser.request(Method::GET, &path);
        let answer = request.header(ACCEPT_ENCODING, "br").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-encoding"], "br", "{path}");
        bytes += answer.bytes().await.unwrap().len();
    }
    assert!(bytes <= MAX_BYTES, "{bytes}");
}

/// A stylesheet in the head blocks the first paint, so no page is shown without its styles.
#[tokio::test]
async fn pages_load_stylesheets_first_and_scripts_later() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    for page in [
        app.browser().get("/login").await,
        harry.get("/home").await,
        harry.get("/enable_2fa").await,
        harry.get("/nowhere").await,
    ] {
        let sheets = page.attributes("link[rel=stylesheet]", "href");
        assert_eq!(
            page.attributes("head > link[rel=stylesheet]", "href"),
            sheets
        );
        assert!(sheets.len() >= 2, "{sheets:?}");
        assert!(page.all("style").is_empty());
        let scripts = page.attributes("script", "src");
        assert_eq!(page.attributes("script[defer]", "src"), scripts);
    }
}

/// The vendored Bootstrap contains only some parts: a class from another part has no effect.
#[tokio::test]
async fn every_class_of_a_template_has_a_rule() {
    let app = TestApp::start().await;
    let page = app.browser().get("/login").await;
    let mut css = String::new();
    for path in page.attributes("link[rel=stylesheet]", "href") {
        css += &app.browser().get(&path).await.body;
    }
    let rules = Regex::new(r"\.([a-z][a-z0-9-]*)").unwrap();
    let known: BTreeSet<&str> = rules
        .captures_iter(&css)
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .collect();
    let mut used = BTreeSet::new();
    classes_below(Path::new("templates"), &mut used);
    assert!(used.len() > 50, "{used:?}");
    let unknown: Vec<_> = used
        .iter()
        .filter(|class| !known.contains(class.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The classes in the templates' HTML and in the arguments of their macros, but no class
/// that a template puts together from parts.
fn classes_below(folder: &Path, found: &mut BTreeSet<String>) {
    let given = Regex::new(r#"class = "([^"]*)""#).unwrap();
    let code = Regex::new(r"(?s)\{[%{#].*?[%}#]\}").unwrap();
    let written = Regex::new(r#"class="([^"]*)""#).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            classes_below(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let html = code.replace_all(&text, " ");
        let lists = given
            .captures_iter(&text)
            .chain(written.captures_iter(&html));
        for list in lists {
            let classes = list[1].split_whitespace();
            found.extend(
                classes
                    .filter(|class| !class.ends_with('-'))
                    .map(str::to_owned),
            );
        }
    }
}
