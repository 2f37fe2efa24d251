//! Arguments after `cargo bench --`.

use clap::Parser;

/// Measures the release binary. All benchmarks get the same arguments.
#[derive(Parser)]
pub struct Options {
    /// A quick look: shorter rounds, smaller tables.
    #[arg(long)]
    pub short: bool,

    /// How long the soak lasts.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,

    /// Cargo passes it. It is not used.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn read() -> Self {
        Self::parse()
    }
}
