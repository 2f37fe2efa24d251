//! One module a page's name: extract, call, answer.

pub mod assets;
