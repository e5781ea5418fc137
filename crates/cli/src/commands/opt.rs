//! `tracelift opt`: passes over a graph, text to text.

use std::{io::Write, process::ExitCode};

use clap::Args;
use tracelift::passes::{PassManager, pipelines};

use crate::{
    arguments::{ModelArgs, PassArgs},
    source,
};

/// Run passes over a graph and print it
#[derive(Args)]
pub struct Opt {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    passes: PassArgs,
}

impl Opt {
    /// Prints the graph after the passes.
    ///
    /// # Errors
    /// When the model cannot be loaded or a pass is not known.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let manager = PassManager::new(pipelines::DEFAULT, self.passes.options())?;
        let mut graph = source::load(&self.model)?.graph()?;
        manager.run(&mut graph)?;
        write!(out, "{graph}")?;
        Ok(ExitCode::SUCCESS)
    }
}
