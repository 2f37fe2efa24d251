//! What stands in for Twilio and a mail server in development: a simulator of
//! Twilio Verify and a mailbox, and the pages that show what they received.

pub mod mailbox;
pub mod phone;
pub mod simulator;
