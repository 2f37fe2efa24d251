//! Shared by the benchmarks: the release binary on its own database, a cheap client, accounts,
//! and the report.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub mod bare;
pub mod load;
pub mod options;
pub mod report;
pub mod seed;
pub mod site;
