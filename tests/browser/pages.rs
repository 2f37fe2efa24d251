//! Checks of every page.

use std::collections::BTreeSet;

use axum::http::Method;
use serde::Deserialize;

use crate::chrome::Chrome;
use crate::support::TestApp;
use crate::tour::every_page;

const AXE: &str = include_str!("vendor/axe-core-4.14.1/axe.min.js");

/// The minimum width of WCAG 1.4.10, and a common phone.
const PHONES: [u32; 2] = [320, 360];

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn no_page_scrolls_sideways_on_a_phone() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        for width in PHONES {
            chrome.set_size(width, 740).await;
            let widest = "return document.scrollingElement.scrollWidth";
            let widest: u32 = chrome.run(widest).await;
            if widest > width {
                faults.push(format!("{name}: {widest} of {width}"));
            }
        }
    })
    .await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// No script errors, violations of the policy or advice about forms. Messages about error
/// statuses and the unreachable Gravatar are expected.
#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn no_page_logs_to_the_console() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        for entry in chrome.log().await {
            let unreachable = entry
                .message
                .starts_with("https://www.gravatar.com/avatar/")
                && entry.message.ends_with("net::ERR_NAME_NOT_RESOLVED");
            let of_page = entry.message.starts_with(&chrome.base)
                && !entry.message.contains("/static/")
                && [404, 422, 429, 503].iter().any(|status| {
                    let words = format!("responded with a status of {status} ");
                    entry.message.contains(&words)
                });
            if !unreachable && !of_page {
                faults.push(format!("{name}: {} {}", entry.level, entry.message));
            }
        }
    })
    .await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A violation that axe-core found.
#[derive(Deserialize)]
struct Finding {
    id: String,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    html: String,
    failure_summary: String,
}

/// The frame with an email is sandboxed, so axe-core can't run in it.
const RUN_AXE: &str = "
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { runOnly: tags, resultTypes: ['violations'], iframes: false })
        .then((found) => done(found.violations), (error) => done(String(error)));";

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn axe_finds_no_violation_on_any_page() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        if name == "mail-page" {
            return; // a sandbox, in which axe-core never finishes
        }
        chrome.run::<()>(AXE).await;
        for (width, scheme) in [
            (1200, "light"),
            (1200, "dark"),
            (360, "light"),
            (360, "dark"),
        ] {
            chrome.set_size(width, 900).await;
            chrome.set_color_scheme(scheme).await;
            let found = chrome.driver.execute_async(RUN_AXE, Vec::new()).await;
            for finding in found.unwrap().convert::<Vec<Finding>>().unwrap() {
                for node in finding.nodes {
                    let (id, html, why) = (&finding.id, node.html, node.failure_summary);
                    faults.push(format!("{name} {width} {scheme}: {id}: {html}: {why}"));
                }
            }
        }
    })
    .await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Elements with animations or transitions, including those of intl-tel-input and Bootstrap.
const MOVING: &str = "
    const times = (list) => Math.max(...list.split(',').map(parseFloat));
    const moves = [...document.querySelectorAll('*')].filter((element) => {
        const style = getComputedStyle(element);
        return times(style.transitionDuration) > 0.01
            || (style.animationName !== 'none' && times(style.animationDuration) > 0.01)
            || style.scrollBehavior === 'smooth';
    });
    return moves.map((element) => element.outerHTML.slice(0, 120))";

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn nothing_moves_with_reduced_motion() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        let moving: Vec<String> = chrome.run(MOVING).await;
        faults.extend(moving.into_iter().map(|html| format!("{name}: {html}")));
    })
    .await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Matches a path with a route, whose parameters are in braces.
fn belongs(path: &str, route: &str) -> bool {
    let (parts, pattern) = (path.split('/'), route.split('/'));
    parts.clone().count() == pattern.clone().count()
        && parts
            .zip(pattern)
            .all(|(part, wanted)| part == wanted || wanted.starts_with('{'))
}

/// Routes that redirect or are not pages.
const NO_PAGES: [&str; 7] = [
    "/",
    "/.well-known/change-password",
    "/reset_password/{token}",
    "/not_me/{token}",
    "/healthz",
    "/readyz",
    "/static/{*path}",
];

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn the_tour_visits_every_page() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut seen = BTreeSet::new();
    every_page(&app, &chrome, async |_: &str| {
        let url = chrome.driver.current_url().await.unwrap();
        seen.insert(url.path().to_owned());
    })
    .await;
    let missed: Vec<&str> = app
        .routes
        .iter()
        .filter(|route| route.method == Method::GET && !NO_PAGES.contains(&route.path))
        .filter(|route| !seen.iter().any(|path| belongs(path, route.path)))
        .map(|route| route.path)
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}
