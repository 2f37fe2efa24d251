//! What may be said behind `cargo bench --`.

use clap::Parser;

/// Measures the release binary. What is said goes to every benchmark that runs.
#[derive(Parser)]
pub struct Options {
    /// A quick look: shorter rounds, smaller tables.
    #[arg(long)]
    pub short: bool,

    /// How long the soak lasts.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,

    /// Cargo's own, of no use here.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn read() -> Self {
        Self::parse()
    }
}
