//! How the program is linked, and what besides its source it is made of.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "so cargo and a build script speak to each other"
)]

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use brotli::enc::BrotliEncoderParams;

/// The one stylesheet of every page, and what it is made of: a browser shows nothing
/// before it has every stylesheet, so there is one to wait for.
const STYLESHEET: &str = "css/twostep.css";
const STYLESHEET_PARTS: [&str; 2] = ["vendor/bootstrap-5.3.9/bootstrap.min.css", "css/app.css"];

/// What is worth compressing: pictures are small already.
const TEXT: [&str; 3] = ["css", "js", "svg"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // Macros read what is in these folders; cargo would not see that a file was added.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=static");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // The addresses that are filled in at the start, in a twentieth of the space
        // (glibc 2.36 and later reads them; a linker that does not know it says so and
        // goes on).
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo runs this"))?;
    let built = PathBuf::from(out).join("static");
    if built.exists() {
        fs::remove_dir_all(&built)?;
    }
    static_files(Path::new("static"), &built)
}

/// Puts what is served of `source` into `built`, each text also compressed beside it, as
/// `<name>.br`.
fn static_files(source: &Path, built: &Path) -> io::Result<()> {
    for file in files_below(source)? {
        let path = file.strip_prefix(source).map_err(io::Error::other)?;
        if !STYLESHEET_PARTS.iter().any(|part| path == Path::new(part)) {
            add(&built.join(path), &fs::read(&file)?)?;
        }
    }
    let mut stylesheet = Vec::new();
    for part in STYLESHEET_PARTS {
        stylesheet.extend(fs::read(source.join(part))?);
    }
    add(&built.join(STYLESHEET), &stylesheet)
}

fn add(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes)?;
    let extension = file.extension().and_then(|it| it.to_str());
    if extension.is_some_and(|it| TEXT.contains(&it)) {
        let mut small = fs::File::create(file.with_added_extension("br"))?;
        let params = BrotliEncoderParams::default(); // the best that there is: once a build
        brotli::BrotliCompress(&mut &bytes[..], &mut small, &params)?;
    }
    Ok(())
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
