//! Checks, public suites, benchmarks and generated pages.

#![forbid(unsafe_code)]

mod node_tests;

use anyhow::{anyhow, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "onnx-node-tests" => {
            node_tests::main(rest).map_err(|error| anyhow!(error))
        }
        _ => bail!("usage: cargo xtask COMMAND, where COMMAND is one of: onnx-node-tests"),
    }
}
