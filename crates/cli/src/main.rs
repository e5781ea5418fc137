//! The tracelift program.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod compare;
mod data;
mod declared;
mod process;
mod progress;
mod random;
mod source;
mod table;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::Parser;

fn main() -> ExitCode {
    let program = commands::Program::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let result = program.run(&mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        // Whoever reads the output, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere to report that standard error cannot be written.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
