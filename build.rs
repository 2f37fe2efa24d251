//! How the program is linked, and what besides its source it is made of.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "so cargo and a build script speak to each other"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Macros read what is in these folders; cargo would not see that a file was added.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=static");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // The addresses that are filled in at the start, in a twentieth of the space
        // (glibc 2.36 and later reads them; a linker that does not know it says so and
        // goes on).
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
