//! The demo phone: a simulator of Twilio Verify for development, and its page.

pub mod simulator;
