//! A model with its inputs and outputs in place, ready to run again and again.

use std::{path::Path, time::Instant};

use anyhow::bail;
use serde_json::{Value, json};
use tracelift::{
    Options, Report, Specialised,
    runtime::{AlignedBytes, Context},
    tensor::{Target, Tensor},
};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    compare::{Bound, compare},
    data::{Tensors, expected_of, inputs_of, read_tensors, result_name},
    process::{check_memory, rss_mb},
    random::random_inputs,
    source::load_for,
};

/// The model and all that a run needs; a run allocates no tensors.
pub struct Runner {
    program: std::sync::Arc<Specialised>,
    context: Context,
    inputs: Vec<AlignedBytes>,
    outputs: Vec<AlignedBytes>,
    /// The expected outputs that the file of inputs has, with their names.
    expected: Vec<(String, Option<Tensor>)>,
    target: Target,
    load_ms: f64,
    /// The seconds from the file to the program.
    ready_s: f64,
    to_first_s: f64,
    rss_base_mb: Option<f64>,
}

/// The largest errors of all outputs.
pub struct Errors {
    /// The largest |error|.
    pub max_abs: f64,
    /// The largest |error| as a part of the largest |expected| of its output.
    pub max_rel: f64,
}

impl Errors {
    /// The numbers under their names; null where infinite, which JSON lacks.
    pub fn to_json(&self) -> Value {
        json!({ "max_abs_err": self.max_abs, "max_rel_err": self.max_rel })
    }
}

impl Runner {
    /// Loads, compiles and runs a model twice, the first time on the clock; the report has kernels
    /// where they are asked for.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled, or the inputs do not fit.
    pub fn load(
        model: &ModelArgs,
        compile: &CompileArgs,
        file: Option<&Path>,
        seed: u64,
        keep_kernels: bool,
    ) -> anyhow::Result<Runner> {
        let tensors = file.map_or(Ok(Tensors::new()), read_tensors)?;
        let rss_base_mb = rss_mb();
        let start = Instant::now();
        let source = load_for(model, &tensors)?;
        let load_ms = start.elapsed().as_secs_f64() * 1e3;
        let inputs = match file {
            Some(file) => inputs_of(&source, &tensors, file)?,
            None => random_inputs(&source.graph()?, seed)?,
        };
        let options = Options { keep_kernels, ..compile.options_to_run(&source.dims)? };
        let target = options.target.map_or_else(Target::host, Ok)?;
        let compiled = source.model.compile(&options)?;
        let program = compiled.for_inputs(&inputs)?;
        let ready_s = start.elapsed().as_secs_f64();
        let graph = source.model.graph();
        let names = (0..graph.results().len()).map(|k| result_name(graph, k));
        let plan = program.program().plan();
        check_memory(plan, options.threads)?;
        let sizes = plan.outputs.iter().map(tracelift::runtime::Port::size_bytes);
        let mut runner = Runner {
            context: program.context(options.threads),
            inputs: inputs.iter().map(aligned).collect(),
            outputs: sizes.map(AlignedBytes::zeroed).collect(),
            expected: names.zip(expected_of(graph, &tensors)).collect(),
            program,
            target,
            load_ms,
            ready_s,
            to_first_s: 0.0,
            rss_base_mb,
        };
        // What was read from files is copied.
        drop((inputs, tensors));
        runner.run()?;
        runner.to_first_s = start.elapsed().as_secs_f64();
        runner.run()?;
        Ok(runner)
    }

    /// Runs once.
    ///
    /// # Errors
    /// When the run is refused.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(|bytes| &bytes[..]).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|b| &mut b[..]).collect();
        Ok(self.program.program().run(&mut self.context, &inputs, &mut outputs)?)
    }

    /// Runs once and gives the nanoseconds of each launch.
    ///
    /// # Errors
    /// When the run is refused.
    pub fn run_profiled(&mut self) -> anyhow::Result<Vec<u64>> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(|bytes| &bytes[..]).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|b| &mut b[..]).collect();
        Ok(self.program.program().run_profiled(&mut self.context, &inputs, &mut outputs)?)
    }

    /// The errors of the last run's outputs, where expected ones are known.
    ///
    /// # Errors
    /// When an output has another type than expected.
    pub fn errors(&self) -> anyhow::Result<Option<Errors>> {
        let ports = &self.program.program().plan().outputs;
        let mut worst: Option<Errors> = None;
        for ((port, bytes), (name, expected)) in ports.iter().zip(&self.outputs).zip(&self.expected)
        {
            let Some(expected) = expected else { continue };
            let bytes = tracelift::tensor::Bytes::copy_from_slice(bytes);
            let found = Tensor::from_bytes(port.dtype, &port.shape, bytes)?;
            let difference = compare(&found, expected, Bound::OfLargest(0.0));
            if let Some(mismatch) = difference.mismatch {
                bail!("output {name}: {mismatch}");
            }
            let errors = worst.get_or_insert(Errors { max_abs: 0.0, max_rel: 0.0 });
            errors.max_abs = errors.max_abs.max(difference.max_abs);
            errors.max_rel = errors.max_rel.max(difference.max_rel);
        }
        Ok(worst)
    }

    /// The program.
    pub fn program(&self) -> &Specialised {
        &self.program
    }

    /// What compiling did.
    pub fn report(&self) -> &Report {
        self.program.report()
    }

    /// The number of threads of a run.
    pub fn n_threads(&self) -> usize {
        self.context.n_threads()
    }

    /// The milliseconds it took to load the file.
    pub fn load_ms(&self) -> f64 {
        self.load_ms
    }

    /// The seconds from the file to the first result.
    pub fn to_first_s(&self) -> f64 {
        self.to_first_s
    }

    /// What is known before measuring.
    pub fn describe(&self) -> Value {
        let report = self.report();
        let stages: serde_json::Map<String, Value> =
            report.stages.iter().map(|(name, ms)| (name.to_string(), json!(ms))).collect();
        json!({
            "engine": "tracelift",
            "version": env!("CARGO_PKG_VERSION"),
            "target": self.target.name(),
            "threads": self.context.n_threads(),
            "load_ms": self.load_ms,
            "compile_ms": report.total_ms(),
            "compile_stages_ms": stages,
            "load_s": self.ready_s,
            "to_first_s": self.to_first_s,
            "rss_base_mb": self.rss_base_mb,
            "arena_bytes": report.arena_bytes,
            "max_live_bytes": report.max_live_bytes,
            "constant_bytes": report.constant_bytes,
            "n_kernels": report.n_kernels,
            "n_launches": report.n_launches,
        })
    }
}

/// A copy of a tensor's elements that no run has to copy again.
fn aligned(tensor: &Tensor) -> AlignedBytes {
    let mut bytes = AlignedBytes::zeroed(tensor.bytes().len());
    bytes.copy_from_slice(tensor.bytes());
    bytes
}
