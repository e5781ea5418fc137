//! Tracing of Rust closures and the nn modules.
