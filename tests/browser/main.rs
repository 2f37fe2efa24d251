//! Tests in Chromium. Run them with `cargo test --test browser -- --ignored`. They need
//! Debian's packages `chromium` and `chromium-driver`, or their equivalents.
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
