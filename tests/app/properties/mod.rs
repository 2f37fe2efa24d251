//! What holds for every input there is, tried with some hundreds of each kind: those
//! near the edge of what is accepted, and any at all. `fuzz/` looks for longer.

mod fields;
mod requests;

use proptest::test_runner::Config;

/// So many of each, and nothing written to the disk: what fails is printed, and gets a
/// test of its own.
fn some(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}
