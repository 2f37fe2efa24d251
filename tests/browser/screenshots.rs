//! Screenshots of every page:
//! `SCREENSHOTS=docs/images cargo test --test browser screenshots -- --ignored`.

use std::path::Path;

use data_encoding::BASE64;

use crate::chrome::Chrome;
use crate::support::TestApp;
use crate::tour::every_page;

/// Readable, but small files.
const QUALITY: u32 = 45;

/// A folder, the color scheme, and the width and minimum height of the window.
type Look = (&'static str, &'static str, u32, u32);

/// The look of every page.
const EVERY: Look = ("phone-light", "light", 390, 640);

/// More looks for the pages in the README and those that differ on a desktop.
const MORE: [Look; 3] = [
    ("phone-dark", "dark", 390, 640),
    ("desk-light", "light", 1000, 640),
    ("desk-dark", "dark", 1000, 640),
];
const SOME: [&str; 8] = [
    "login",
    "verify",
    "enabled",
    "authenticator",
    "home-on",
    "security-on",
    "security-factors",
    "phone",
];

/// Replaces random and time-dependent texts, so that a screenshot only changes with its page.
const SETTLE: &str = r"
    for (let timer = setTimeout(() => {}); timer > 0; timer--) {
        clearTimeout(timer);
        clearInterval(timer);
    }
    document.documentElement.style.caretColor = 'transparent';
    const drawn = [
        [/\b[0-9A-Z]{4}(-[0-9A-Z]{4}){5}\b/g, 'K7WM-2QXD-9RTB-5HVN-C3PJ-8FYG'],
        [/\bin \d+ seconds?\b/g, 'in 30 seconds'],
        [/(?<![\w-])[\w-]{40,}/g, 'Zk3v8QmT1xWc5pRyB7nLsJ2dHgF4aUeKo9Ni6Xt0VbM'],
        [/^Request \S+$/g, 'Request Zk3v8QmT1xWc5pRy'],
    ];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode;
        let text = node.data;
        if (node.parentElement.closest('.code')) {
            text = text.replace(/\d{6}/, '492817');
        }
        for (const [lot, word] of drawn) {
            text = text.replace(lot, word);
        }
        if (text !== node.data) {
            node.data = text;
        }
    }";

/// Not a test: writes screenshots into the folder in `SCREENSHOTS`.
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
    let chrome = Chrome::with_languages(&app, "en-KE").await;
    every_page(&app, &chrome, async |name: &str| {
        chrome.run::<()>(SETTLE).await;
        let more = MORE.iter().filter(|_| SOME.contains(&name));
        for (look, scheme, width, least) in [EVERY].iter().chain(more) {
            let folder = Path::new(&folder).join(look);
            std::fs::create_dir_all(&folder).unwrap();
            chrome.set_color_scheme(scheme).await;
            chrome.set_size(*width, *least).await;
            let height = "return document.scrollingElement.scrollHeight";
            chrome.set_size(*width, chrome.run(height).await).await;
            let picture = serde_json::json!({ "format": "webp", "quality": QUALITY });
            let picture = chrome.devtools("Page.captureScreenshot", picture).await;
            let picture = picture["data"].as_str().unwrap().as_bytes();
            let picture = BASE64.decode(picture).unwrap();
            std::fs::write(folder.join(format!("{name}.webp")), picture).unwrap();
        }
    })
    .await;
}
