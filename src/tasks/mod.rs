//! Background tasks, from the start of serving to its end.

pub mod mail;
pub mod purge;
