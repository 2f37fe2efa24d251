//! What stands in for Twilio in development: a simulator of Twilio Verify, and
//! the page that shows what it received.

pub mod phone;
pub mod simulator;
