//! The middleware of requests, which `routes.rs` puts in order.

pub mod access;
pub mod client_address;
pub mod cookie;
pub mod error_pages;
pub mod request_log;
pub mod run_to_completion;
pub mod security_headers;
pub mod session;
