//! `tracelift dump`: prints a model at any stage of compilation.

mod fused;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tracelift::{
    backend::{Lowered, assembly_text, clif_text},
    ir::{
        Graph,
        text::{PrintOptions, write_graph_file},
        to_dot, to_json,
    },
    pipeline::Build,
};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    source,
};

/// Print a model at a stage of compilation
#[derive(Args)]
pub struct Dump {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// The stage
    #[arg(long, value_enum, default_value_t = Stage::Graph)]
    stage: Stage,
    /// Print the graph after the first run of this pass
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stage", "after_all"])]
    pass: Option<String>,
    /// Write the graph before the first and after every pass to this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stage", "output", "dump_ir"])]
    after_all: Option<PathBuf>,
    /// The form: graphs have all three, fused groups text and json, later stages text
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End each line of a graph's text with the source of its node
    #[arg(long)]
    sources: bool,
    /// Write to this file; a graph's text becomes a model, with its weights in a .safetensors
    /// beside it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A stage of compilation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stage {
    /// The graph as loaded
    Import,
    /// The graph after all passes
    Graph,
    /// What each kernel computes
    Fused,
    /// The kernels as loop nests
    Loops,
    /// The kernels in Cranelift's language
    Clif,
    /// The kernels in assembly
    Asm,
}

/// A form of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
}

impl Dump {
    /// Prints or writes the stage.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled that far, or the stage has no such form.
    pub fn run(mut self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        self.check_format()?;
        if let Some(pass) = self.pass.take() {
            tracelift::passes::find(&pass)?;
            self.compile.passes.stop_after = Some(pass);
        }
        if let Some(folder) = &self.after_all {
            self.compile.passes.dump_ir = Some(folder.clone());
        }
        let source = source::load(&self.model)?;
        let mut graph = source.graph()?;
        if self.stage == Stage::Import {
            self.print_graph(&graph, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut build = Build::new(&self.compile.options(&source.dims))?;
        build.optimise(&mut graph)?;
        if let Some(folder) = &self.after_all {
            writeln!(out, "{}: {} graphs", folder.display(), build.report().passes.runs.len() + 1)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.stage == Stage::Graph {
            self.print_graph(&graph, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        source::require_exact(&graph)?;
        let lowered = build.lower(&graph)?;
        let text = self.later_stage(&graph, &lowered, &build)?;
        self.print(&text, out)?;
        Ok(ExitCode::SUCCESS)
    }

    fn check_format(&self) -> anyhow::Result<()> {
        let forms: &[Format] = match self.stage {
            Stage::Import | Stage::Graph => &[Format::Text, Format::Json, Format::Dot],
            Stage::Fused => &[Format::Text, Format::Json],
            Stage::Loops | Stage::Clif | Stage::Asm => &[Format::Text],
        };
        if forms.contains(&self.format) {
            return Ok(());
        }
        let name = |f: &Format| format!("{f:?}").to_lowercase();
        bail!(
            "stage {} has no form {}\n  expected: {}",
            format!("{:?}", self.stage).to_lowercase(),
            name(&self.format),
            forms.iter().map(name).collect::<Vec<_>>().join(", ")
        )
    }

    fn later_stage(&self, graph: &Graph, l: &Lowered, build: &Build) -> anyhow::Result<String> {
        Ok(match self.stage {
            Stage::Fused if self.format == Format::Json => fused::to_json(graph, &l.groups),
            Stage::Fused => fused::to_text(graph, &l.groups),
            Stage::Clif => clif_text(&l.kernels, build.target())?,
            Stage::Asm => {
                let mut sources = vec![Vec::new(); l.kernels.len()];
                l.steps.iter().for_each(|step| sources[step.kernel].push(step.label.to_string()));
                assembly_text(&l.kernels, &sources, build.target())?
            }
            _ => l.kernels.iter().map(|kernel| format!("{kernel}\n")).collect(),
        })
    }

    fn print_graph(&self, graph: &Graph, out: &mut dyn Write) -> anyhow::Result<()> {
        let text = match (self.format, &self.output) {
            (Format::Text, Some(path)) if !self.sources => {
                return write_graph_file(graph, path).map_err(Into::into);
            }
            (Format::Text, _) => graph.to_text(&PrintOptions { provenance: self.sources }),
            (Format::Json, _) => to_json(graph) + "\n",
            (Format::Dot, _) => to_dot(graph),
        };
        self.print(&text, out)
    }

    fn print(&self, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let write = |path: &Path| fs::write(path, text).context(path.display().to_string());
        match &self.output {
            Some(path) => write(path),
            None => Ok(out.write_all(text.as_bytes())?),
        }
    }
}
