//! The tests of the whole program, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml exempts test functions, but not the helpers beside them"
)]

mod logs;
mod settings;
mod support;
mod tutorial_defects_two_factor;
mod twilio_verify;
mod two_factor;
mod walk;
