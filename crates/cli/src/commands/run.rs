//! `tracelift run`: compiles a model and runs it once.

use std::{ffi::OsStr, io::Write, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::bail;
use clap::Args;
use tracelift::{
    Compiled,
    tensor::{Tensor, npz::write_npz, safetensors_file::write_safetensors},
};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    data::{Tensors, inputs_of, read_tensors, result_name},
    process::check_memory,
    progress::Progress,
    random::random_inputs,
    source::{self, Source},
    table::Table,
};

/// Compile a model and run it once
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// The inputs: .npz, .safetensors, or a folder of .npy or .pb files; found by name, or as
    /// in_0, in_1 and so on [default: made up from the signature]
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// Write the outputs to this .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// The seed of inputs that are made up
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl Run {
    /// Prints a summary of the outputs.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled, or the inputs do not fit.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.outputs {
            check_output_name(path)?;
        }
        let progress = Progress::animated(format!("loading {}", self.model.model.display()));
        let (source, inputs) = load_with_inputs(&self.model, self.inputs.as_deref(), self.seed)?;
        progress.say("compiling".into());
        let options = self.compile.options_to_run(&source.dims)?;
        let compiled = source.model.compile(&options)?;
        let specialised = compiled.for_inputs(&inputs)?;
        check_memory(specialised.program().plan(), options.threads)?;
        drop(progress);
        let start = Instant::now();
        let outputs = compiled.run(&inputs)?;
        let run_ms = start.elapsed().as_secs_f64() * 1e3;
        writeln!(
            out,
            "loaded in {:.1} ms, compiled in {:.1} ms, ran in {run_ms:.3} ms",
            source.model.load_seconds() * 1e3,
            specialised.report().total_ms()
        )?;
        write!(out, "{}", summary(&compiled, &outputs))?;
        if let Some(path) = &self.outputs {
            write_outputs(path, &compiled, outputs)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Loads a model and the inputs to run it on: those of a file, or made up.
///
/// # Errors
/// When either cannot be loaded, or inputs are missing.
pub fn load_with_inputs(
    arguments: &ModelArgs,
    file: Option<&std::path::Path>,
    seed: u64,
) -> anyhow::Result<(Source, Vec<Tensor>)> {
    match file {
        Some(file) => {
            let tensors = read_tensors(file)?;
            let source = source::load_for(arguments, &tensors)?;
            let inputs = inputs_of(&source, &tensors, file)?;
            Ok((source, inputs))
        }
        None => {
            let source = source::load_for(arguments, &Tensors::new())?;
            let inputs = random_inputs(&source.graph()?, seed)?;
            Ok((source, inputs))
        }
    }
}

/// One line per output: type, range, first elements.
fn summary(compiled: &Compiled, outputs: &[Tensor]) -> String {
    const SHOWN: usize = 6;
    let mut table = Table::new(["output", "type", ">min", ">max", ">mean", "first"]);
    for (k, tensor) in outputs.iter().enumerate() {
        let numbers = || tensor.iter().map(|x| x.to_f64());
        let sum: f64 = numbers().sum();
        // A comparison with NaN is false, so the range is that of the numbers.
        let range = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (if x < low { x } else { low }, if x > high { x } else { high })
        });
        let shown = |x: f64| if tensor.count() == 0 { "-".into() } else { format!("{x:.6}") };
        let first: Vec<String> = tensor.iter().take(SHOWN).map(|x| x.to_string()).collect();
        let more = if tensor.count() > SHOWN { " …" } else { "" };
        table.row([
            result_name(compiled.graph(), k),
            format!("{}{:?}", tensor.dtype(), tensor.shape()),
            shown(range.0),
            shown(range.1),
            shown(sum / tensor.count() as f64),
            first.join(" ") + more,
        ]);
    }
    table.to_string()
}

fn extension(path: &std::path::Path) -> Option<&str> {
    path.extension().and_then(OsStr::to_str)
}

fn check_output_name(path: &std::path::Path) -> anyhow::Result<()> {
    if matches!(extension(path), Some("npz" | "safetensors")) {
        return Ok(());
    }
    bail!("{}: expected a name ending in .npz or .safetensors", path.display())
}

fn write_outputs(
    path: &std::path::Path,
    compiled: &Compiled,
    outputs: Vec<Tensor>,
) -> anyhow::Result<()> {
    let names = (0..outputs.len()).map(|k| result_name(compiled.graph(), k));
    let named: Vec<(String, Tensor)> = names.zip(outputs).collect();
    match extension(path) {
        Some("npz") => write_npz(path, &named)?,
        _ => write_safetensors(path, &named)?,
    }
    Ok(())
}
