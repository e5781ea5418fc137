//! `tracelift inspect`: what is in a model, and what compiling makes of it.

mod contents;

use std::{collections::BTreeMap, io::Write, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};
use tracelift::{
    Error, Report,
    backend::Lowered,
    import::{ImportError, Problem},
    ir::Graph,
    pipeline::Build,
};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    source,
    table::{self, Table},
};
use contents::Contents;

/// Show a model's signature, parameters, operators, memory plan and kernels, or what in it is not
/// supported
#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What compiling makes of a model.
struct Compiled {
    report: Report,
    operators: BTreeMap<String, usize>,
    /// For each kernel its name and the number of its launches.
    kernels: Vec<(String, usize)>,
    target: String,
}

impl Inspect {
    /// Prints what is known.
    ///
    /// # Errors
    /// When the model cannot be loaded, with everything in it that is not supported.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let source = match source::load(&self.model) {
            Ok(source) => source,
            Err(error) => {
                if self.json
                    && let Some(problems) = problems(&error)
                {
                    writeln!(out, "{:#}", unsupported(problems))?;
                    out.flush()?;
                }
                return Err(error);
            }
        };
        let graph = source.graph()?;
        let contents = Contents::of(&graph);
        let compiled = match graph.symbols().is_empty() {
            true => Some(compile(&self.compile, &source, &graph)?),
            false => None,
        };
        if self.json {
            let mut value = contents.to_json();
            value["compiled"] = compiled.as_ref().map_or(Value::Null, Compiled::to_json);
            value["unsupported"] = json!([]);
            writeln!(out, "{value:#}")?;
        } else {
            write!(out, "{contents}")?;
            match compiled {
                Some(compiled) => write!(out, "{}", compiled.to_text())?,
                None => writeln!(
                    out,
                    "memory and kernels: known once every dimension has a value; {}",
                    contents.set_hint()
                )?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn problems(error: &anyhow::Error) -> Option<&[Problem]> {
    match error.downcast_ref::<Error>() {
        Some(Error::Import(ImportError::Unsupported { problems, .. })) => Some(problems),
        _ => None,
    }
}

fn unsupported(problems: &[Problem]) -> Value {
    let entry = |p: &Problem| {
        json!({
            "where": p.subject.to_string(),
            "what": p.what,
            "hint": p.hint,
            "inputs": p.inputs,
        })
    };
    json!({ "unsupported": problems.iter().map(entry).collect::<Vec<_>>() })
}

/// Compiles up to the memory plan; no code is made.
fn compile(
    arguments: &CompileArgs,
    source: &source::Source,
    graph: &Graph,
) -> anyhow::Result<Compiled> {
    let mut graph = graph.clone();
    let mut build = Build::new(&arguments.options(&source.dims))?;
    build.optimise(&mut graph)?;
    let lowered = build.lower(&graph)?;
    build.plan(&lowered);
    Ok(Compiled {
        report: build.report().clone(),
        operators: contents::operators(&graph),
        kernels: kernels(&lowered),
        target: build.target().name(),
    })
}

fn kernels(lowered: &Lowered) -> Vec<(String, usize)> {
    let mut counts = vec![0; lowered.kernels.len()];
    lowered.steps.iter().for_each(|step| counts[step.kernel] += 1);
    lowered.kernels.iter().map(|kernel| kernel.name.clone()).zip(counts).collect()
}

impl Compiled {
    fn to_text(&self) -> String {
        let report = &self.report;
        let mut passes = Table::new(["pass", ">ms", ">nodes", "changed"]);
        for run in &report.passes.runs {
            passes.row([
                run.name.to_string(),
                format!("{:.2}", run.millis),
                format!("{}", run.nodes_after),
                if run.changed { "yes".into() } else { "no".into() },
            ]);
        }
        let mut kernels = Table::new(["kernel", ">launches"]);
        for (name, n) in &self.kernels {
            kernels.row([name.clone(), n.to_string()]);
        }
        format!(
            "passes:\n{passes}operators after passes: {}\nmemory: arena {} (at least {}), \
             constants {}\nkernels for {}: {} in {} launches\n{kernels}",
            contents::list(&self.operators),
            table::bytes(report.arena_bytes),
            table::bytes(report.max_live_bytes),
            table::bytes(report.constant_bytes),
            self.target,
            report.n_kernels,
            report.n_launches,
        )
    }

    fn to_json(&self) -> Value {
        let report = &self.report;
        let passes = report.passes.runs.iter().map(|run| {
            json!({
                "name": run.name,
                "changed": run.changed,
                "ms": run.millis,
                "nodes_before": run.nodes_before,
                "nodes_after": run.nodes_after,
                "laws": run.laws,
            })
        });
        let kernels = self.kernels.iter().map(|(name, n)| json!({ "name": name, "launches": n }));
        json!({
            "target": self.target,
            "operators": self.operators,
            "passes": passes.collect::<Vec<_>>(),
            "arena_bytes": report.arena_bytes,
            "max_live_bytes": report.max_live_bytes,
            "constant_bytes": report.constant_bytes,
            "n_launches": report.n_launches,
            "kernels": kernels.collect::<Vec<_>>(),
        })
    }
}
