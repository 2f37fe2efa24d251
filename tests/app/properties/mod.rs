//! Properties that hold for every input, with hundreds of generated cases each. The seed is
//! fixed, so a build only fails because of a change. `fuzz/` searches for new cases.

mod fields;
mod requests;

use proptest::test_runner::{Config, RngSeed};

/// Prints a failing case instead of saving it.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_123),
        ..Config::default()
    }
}
