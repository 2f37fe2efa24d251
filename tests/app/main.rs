//! The tests of the whole program, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml exempts test functions, but not the helpers beside them"
)]

mod access;
mod accounts;
mod addresses;
mod architecture;
mod authenticator;
mod clients;
mod csrf;
mod devices;
mod embedding;
mod error_pages;
mod headers;
mod health;
mod instances;
mod load;
mod log_lines;
mod login_paths;
mod logs;
mod mail;
mod metrics;
mod migrations;
mod not_me;
mod notices;
mod operator;
mod outages;
mod pages;
mod password;
mod profile;
mod properties;
mod purge;
mod query_plans;
mod rate_limit;
mod recovery_codes;
mod secret_keys;
mod security;
mod sessions;
mod settings;
mod shutdown;
mod sms_days;
mod startup;
mod support;
mod twilio_verify;
mod two_factor;
mod walk;
mod weight;
mod wire;
