//! What the benchmarks share: the release binary on a database of its own, a cheap
//! client, accounts, and the table at the end.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub mod bare;
pub mod load;
pub mod options;
pub mod report;
pub mod seed;
pub mod site;
