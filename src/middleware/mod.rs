//! What every request passes through, in the order in which `routes.rs` puts it.

pub mod access;
pub mod client_address;
pub mod cookie;
pub mod error_pages;
pub mod metrics;
pub mod request_log;
pub mod run_to_completion;
pub mod security_headers;
pub mod session;
