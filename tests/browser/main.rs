//! The app in a real browser, Chromium. `cargo test -- --ignored` runs these tests:
//! they need Debian's `chromium` and `chromium-driver`, or the same of another system.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml exempts test functions, but not the helpers beside them"
)]

mod chrome;
mod forms;
mod keyboard;
mod pages;
mod phone;
mod screenshots;
mod scripts;
#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "../app/support/mod.rs"]
mod support;
mod tour;
mod walk;
