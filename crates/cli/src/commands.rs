//! The subcommands, one file each.

mod bench;
mod check;
mod compile;
mod dump;
mod inspect;
mod opt;
mod run;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

/// Compiles neural networks to native code, runs them and shows every stage.
#[derive(Parser)]
#[command(name = "tracelift", version, max_term_width = 100)]
pub struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Bench(bench::Bench),
    Dump(dump::Dump),
    Compile(compile::Compile),
    Inspect(inspect::Inspect),
    Opt(opt::Opt),
}

impl Program {
    /// Runs the subcommand; results go to `out`.
    ///
    /// # Errors
    /// When the subcommand cannot do what it was asked for.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(command) => command.run(out),
            Command::Check(command) => command.run(out),
            Command::Bench(command) => command.run(out),
            Command::Dump(command) => command.run(out),
            Command::Compile(command) => command.run(out),
            Command::Inspect(command) => command.run(out),
            Command::Opt(command) => command.run(out),
        }
    }
}
