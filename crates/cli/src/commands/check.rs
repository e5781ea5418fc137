//! `tracelift check`: compares a model's outputs with expected ones.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use serde_json::json;
use tracelift::tensor::Tensor;

use crate::{
    arguments::{CompileArgs, ModelArgs},
    compare::{Bound, Difference, compare},
    data::{all_expected_of, inputs_of, read_tensors, result_name},
    process::check_memory,
    progress::Progress,
    source::{self, Source},
    table::Table,
};

/// Run a model and compare its outputs with expected ones: exit code 0 when they agree, 1 when
/// they differ, 2 on an error
#[derive(Args)]
#[command(group(ArgGroup::new("case").required(true).multiple(false).args(["inputs", "data"])))]
pub struct Check {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// The inputs: .npz, .safetensors, or a folder of .npy or .pb files; found by name, or as
    /// in_0, in_1 and so on
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// The expected outputs, found by name, or as out_0, out_1 and so on [default: in the file of
    /// the inputs]
    #[arg(long, value_name = "FILE", requires = "inputs")]
    expect: Option<PathBuf>,
    /// A folder of ONNX's test data: input_0.pb, output_0.pb and so on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Bound each element's error by atol + rtol · |expected| [default: by 1e-4 · max |expected|
    /// of the output; with --data rtol 1e-3 and atol 1e-7, or what data.json says]
    #[arg(long, value_name = "X", value_parser = parse_tolerance)]
    rtol: Option<f64>,
    /// See --rtol
    #[arg(long, value_name = "X", value_parser = parse_tolerance)]
    atol: Option<f64>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

fn parse_tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("found '{text}', expected a number that is not negative, such as 1e-3")),
    }
}

impl Check {
    /// Prints the largest error of each output.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled, or a file does not fit it.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let bound = self.bound()?;
        let progress = Progress::animated(format!("checking {}", self.model.model.display()));
        let (source, found, expected) = self.run_model()?;
        drop(progress);
        let pairs = found.iter().zip(&expected);
        let differences: Vec<Difference> = pairs.map(|(f, e)| compare(f, e, bound)).collect();
        let agrees = differences.iter().all(Difference::is_within);
        if self.json {
            writeln!(out, "{}", to_json(&source, &differences, agrees))?;
        } else {
            if !source.fixed.is_empty() {
                writeln!(out, "inputs taken as constants: {}", source.fixed.join(", "))?;
            }
            write!(out, "{}", to_text(&source, &differences, bound, agrees))?;
        }
        Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// The outputs found and expected.
    fn run_model(&self) -> anyhow::Result<(Source, Vec<Tensor>, Vec<Tensor>)> {
        if let Some(folder) = self.data.as_deref().filter(|folder| !folder.is_dir()) {
            bail!(
                "{}: not a folder\n  expected: one with input_0.pb, output_0.pb",
                folder.display()
            );
        }
        let file = self.inputs.as_deref().or(self.data.as_deref()).unwrap_or(Path::new(""));
        let tensors = read_tensors(file)?;
        let source = source::load_for(&self.model, &tensors)?;
        let inputs = inputs_of(&source, &tensors, file)?;
        let graph = source.model.graph();
        let expected = match &self.expect {
            Some(path) => all_expected_of(graph, &read_tensors(path)?, path)?,
            None => all_expected_of(graph, &tensors, file)?,
        };
        let options = self.compile.options_to_run(&source.dims)?;
        let compiled = source.model.compile(&options)?;
        check_memory(compiled.for_inputs(&inputs)?.program().plan(), options.threads)?;
        let found = compiled.run(&inputs)?;
        Ok((source, found, expected))
    }

    fn bound(&self) -> anyhow::Result<Bound> {
        let (mut rtol, mut atol) = match &self.data {
            Some(folder) => suite_tolerances(folder)?,
            None if self.rtol.is_none() && self.atol.is_none() => {
                return Ok(Bound::OfLargest(1e-4));
            }
            None => (0.0, 0.0),
        };
        rtol = self.rtol.unwrap_or(rtol);
        atol = self.atol.unwrap_or(atol);
        Ok(Bound::Elementwise { rtol, atol })
    }
}

/// The tolerances of ONNX's backend tests, which a case's `data.json` can replace.
///
/// Source: `onnx/backend/test/loader/__init__.py`.
fn suite_tolerances(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let (mut rtol, mut atol) = (1e-3, 1e-7);
    let beside = folder.join("data.json");
    let above = folder.canonicalize().ok().and_then(|f| Some(f.parent()?.join("data.json")));
    let found = [Some(beside), above].into_iter().flatten().find(|path| path.is_file());
    if let Some(path) = found {
        let read = || -> anyhow::Result<serde_json::Value> {
            Ok(serde_json::from_str(&std::fs::read_to_string(&path)?)?)
        };
        let value = read().with_context(|| path.display().to_string())?;
        rtol = value.get("rtol").and_then(serde_json::Value::as_f64).unwrap_or(rtol);
        atol = value.get("atol").and_then(serde_json::Value::as_f64).unwrap_or(atol);
    }
    Ok((rtol, atol))
}

fn to_text(source: &Source, differences: &[Difference], bound: Bound, agrees: bool) -> String {
    let mut table = Table::new(["output", ">max error", ">of largest", "at", "outside", "verdict"]);
    for (k, d) in differences.iter().enumerate() {
        let at = match (&d.mismatch, &d.worst) {
            (Some(mismatch), _) => mismatch.clone(),
            (None, Some((index, found, expected))) => {
                format!("{index:?}: found {found}, expected {expected}")
            }
            (None, None) => "-".into(),
        };
        table.row([
            result_name(source.model.graph(), k),
            format!("{:.3e}", d.max_abs),
            format!("{:.3e}", d.max_rel),
            at,
            format!("{} of {}", d.n_wrong, d.count),
            if d.is_within() { "agrees".into() } else { "differs".into() },
        ]);
    }
    let verdict = if agrees { "outputs agree" } else { "outputs differ" };
    format!("{table}{verdict} (bound: {bound})\n")
}

fn to_json(source: &Source, differences: &[Difference], agrees: bool) -> serde_json::Value {
    let outputs = differences.iter().enumerate().map(|(k, d)| {
        json!({
            "name": result_name(source.model.graph(), k),
            "agrees": d.is_within(),
            // JSON has no infinity.
            "max_abs_err": if d.max_abs.is_finite() { json!(d.max_abs) } else { json!("inf") },
            "max_rel_err": if d.max_rel.is_finite() { json!(d.max_rel) } else { json!("inf") },
            "at": d.worst.as_ref().map(|(index, ..)| index),
            "n_wrong": d.n_wrong,
            "count": d.count,
            "mismatch": d.mismatch,
        })
    });
    json!({ "agrees": agrees, "outputs": outputs.collect::<Vec<_>>(), "constants": source.fixed })
}
