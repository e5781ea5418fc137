//! Checks, public suites, benchmarks and generated pages.

#![forbid(unsafe_code)]

mod bars;
mod docs;
mod node_tests;
mod order;
mod performance;
mod tidy;
mod transcendentals;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Parser, Subcommand};

/// What the project needs besides building and testing it.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks sizes, headers and words of all sources.
    Tidy,
    /// Writes the generated pages of `docs/`.
    Docs {
        /// Writes nothing; fails where a page is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Measures everything the project must show and says which bars are reached.
    Bars(bars::Bars),
    /// Writes the order that the functions of the program are linked in.
    Order(order::Order),
    /// Writes `docs/performance.md` from the results of `bars`.
    Performance {
        /// The results.
        #[arg(default_value = "target/bars.json")]
        results: PathBuf,
    },
    /// Compares compiled exponentials, logarithms and their like with f64 on all 2³² inputs.
    Transcendentals(transcendentals::Transcendentals),
    /// Runs the ONNX backend tests.
    #[command(disable_help_flag = true)]
    OnnxNodeTests {
        /// The suite's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Tidy => tidy::main(&root()),
        Command::Docs { check } => docs::main(&root(), check),
        Command::Bars(arguments) => bars::main(&root(), &arguments),
        Command::Order(arguments) => order::main(&root(), &arguments),
        Command::Performance { results } => performance::main(&root(), &results),
        Command::Transcendentals(arguments) => transcendentals::main(&root(), &arguments),
        Command::OnnxNodeTests { arguments } => {
            node_tests::main(&arguments).map_err(|error| anyhow!(error))
        }
    }
}

/// The top of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("xtask lies two folders down").to_path_buf()
}
