//! Substitutes for Twilio and a mail server in development: a simulator of Twilio Verify, a
//! mailbox, and the pages that show what they received.

pub mod authenticator;
pub mod mailbox;
pub mod phone;
pub mod simulator;
