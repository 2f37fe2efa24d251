//! What holds for every input there is, tried with some hundreds of each kind: those
//! near the edge of what is accepted, and any at all. They are the same at each run: a
//! build fails for what was changed. `fuzz/` looks for new ones, and for longer.

mod fields;
mod requests;

use proptest::test_runner::{Config, RngSeed};

/// So many of each, and nothing written to the disk: what fails is printed, and gets a
/// test of its own.
fn some(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_123),
        ..Config::default()
    }
}
