//! What holds on every page.

use std::path::Path;

use serde::Deserialize;

use crate::chrome::Chrome;
use crate::support::TestApp;
use crate::tour::every_page;

const AXE: &str = include_str!("vendor/axe-core-4.14.1/axe.min.js");

/// The narrowest that WCAG 1.4.10 asks for, and a common phone.
const PHONES: [u32; 2] = [320, 360];

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn no_page_scrolls_sideways_on_a_phone() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        for width in PHONES {
            chrome.in_size(width, 740).await;
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

/// Neither an error of a script, nor something that the policy forbade, nor advice of
/// the browser's on a form. What a browser says itself of an answer that is no success
/// is no fault, and Gravatar is out of reach.
#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn no_page_makes_the_browser_complain() {
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

/// What axe-core finds wrong, and where.
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

/// The mail in its frame is no page of ours: nothing runs in there, axe-core neither.
const RUN_AXE: &str = "
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { runOnly: tags, resultTypes: ['violations'], iframes: false })
        .then((found) => done(found.violations), (error) => done(String(error)));";

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn axe_finds_nothing_on_any_page_wide_or_narrow_light_or_dark() {
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    let mut faults = Vec::new();
    every_page(&app, &chrome, async |name: &str| {
        chrome.run::<()>(AXE).await;
        for (width, colours) in [
            (1200, "light"),
            (1200, "dark"),
            (360, "light"),
            (360, "dark"),
        ] {
            chrome.in_size(width, 900).await;
            chrome.in_colours(colours).await;
            let found = chrome.driver.execute_async(RUN_AXE, Vec::new()).await;
            for finding in found.unwrap().convert::<Vec<Finding>>().unwrap() {
                for node in finding.nodes {
                    let (id, html, why) = (&finding.id, node.html, node.failure_summary);
                    faults.push(format!("{name} {width} {colours}: {id}: {html}: {why}"));
                }
            }
        }
    })
    .await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Not a test: with SCREENSHOTS set to a folder, writes a picture of every page into
/// it, light and dark, for a phone and for a desk.
#[tokio::test]
#[ignore = "needs chromium and chromium-driver, and a folder in SCREENSHOTS"]
async fn screenshots() {
    #[expect(
        clippy::disallowed_methods,
        reason = "this one is no setting of the app"
    )]
    let Ok(folder) = std::env::var("SCREENSHOTS") else {
        return;
    };
    let app = TestApp::start().await;
    let chrome = Chrome::open(&app).await;
    every_page(&app, &chrome, async |name: &str| {
        for (device, width, least) in [("phone", 390, 844), ("desk", 1200, 800)] {
            for colours in ["light", "dark"] {
                let folder = Path::new(&folder).join(device).join(colours);
                std::fs::create_dir_all(&folder).unwrap();
                chrome.in_colours(colours).await;
                chrome.in_size(width, least).await;
                let height = "return document.scrollingElement.scrollHeight";
                chrome.in_size(width, chrome.run(height).await).await;
                let file = folder.join(format!("{name}.png"));
                chrome.driver.screenshot(&file).await.unwrap();
            }
        }
    })
    .await;
}
