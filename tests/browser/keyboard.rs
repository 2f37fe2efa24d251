//! Keyboard input.

use thirtyfour::TypingData;
use thirtyfour::prelude::*;

use crate::chrome::Chrome;

/// Presses Tab until this element has the focus. Every focused control must have an outline.
pub async fn tab_to(chrome: &Chrome, css: &str) {
    let looks = format!(
        "const at = document.activeElement, style = getComputedStyle(at);
        return [at.matches({css:?}),
            style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            at.outerHTML]"
    );
    for _ in 0..30 {
        let (is_it, is_seen, what): (bool, bool, String) = chrome.run(&looks).await;
        assert!(is_seen || is_no_control(&what), "no outline: {what}");
        if is_it {
            return;
        }
        type_keys(chrome, Key::Tab).await;
    }
    panic!("Tab does not lead to {css}");
}

/// The body, and the target of the skip link.
fn is_no_control(html: &str) -> bool {
    html.starts_with("<body") || html.starts_with("<main")
}

/// Types into the focused element.
pub async fn type_keys(chrome: &Chrome, keys: impl Into<TypingData>) {
    let keyboard = chrome.driver.action_chain();
    keyboard.send_keys(keys).perform().await.unwrap();
}
