//! Checks, public suites, benchmarks and generated pages.

fn main() {}
