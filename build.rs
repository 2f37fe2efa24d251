//! Compresses the static files, so that the program can embed them.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "cargo talks to build scripts by environment and standard output"
)]

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Macros read these folders, and cargo doesn't notice when a file is added.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=static");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    let out = PathBuf::from(out);
    let folder = fs::canonicalize("static")?;
    let assets = memory_serve::assets_to_code("static", &folder, &out, true, |_| ());
    fs::write(out.join("assets.rs"), assets)
}
