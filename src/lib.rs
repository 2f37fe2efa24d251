//! Twostep: accounts with a password and an optional second step by phone.
pub mod controllers;
pub mod dev;
pub mod forms;
pub mod models;
pub mod services;
pub mod views;
