//! Twostep: accounts with a password and an optional second step by phone.
pub mod config;
pub mod dev;
pub mod forms;
pub mod services;
pub mod views;
