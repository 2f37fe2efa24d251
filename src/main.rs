//! The program: settings, app, serve.

fn main() {}
