//! `tracelift bench`: times a model.

mod measure;
mod profile;
mod roofline;
mod runner;
mod serve;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    process::peak_rss_mb,
    progress::Progress,
    table,
};
use measure::Measurement;
use runner::{Errors, Runner};

/// Time a model
#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// The inputs: .npz, .safetensors, or a folder; where expected outputs are there too, errors
    /// are reported [default: made up from the signature]
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// How long to measure
    #[arg(long, value_name = "S", default_value = "3", value_parser = parse_seconds)]
    seconds: f64,
    /// The seed of inputs that are made up
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one line of JSON
    #[arg(long, conflicts_with = "serve")]
    json: bool,
    /// Load once, then measure whenever standard input says `measure SECONDS`, until `finish`
    #[arg(long, conflicts_with_all = ["profile", "kernels"])]
    serve: bool,
    /// Print the time of each launch, and what it makes of the machine's speed and bandwidth, which
    /// are measured in the same run
    #[arg(long, conflicts_with = "kernels")]
    profile: bool,
    /// Print where each kernel stands under the machine's roofline
    #[arg(long)]
    kernels: bool,
}

/// Reads a time span in seconds.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= 86_400.0 => Ok(s),
        _ => Err(format!("found '{text}', expected seconds, more than 0 and at most 86400")),
    }
}

impl Bench {
    /// Prints the times.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled, or the inputs do not fit.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let progress = Progress::start(format!("compiling {}", self.model.model.display()));
        let inputs = self.inputs.as_deref();
        let counts_work = self.profile || self.kernels;
        let mut runner = Runner::load(&self.model, &self.compile, inputs, self.seed, counts_work)?;
        if self.serve {
            drop(progress);
            serve::serve(&mut runner, io::stdin().lock(), out)?;
            return Ok(ExitCode::SUCCESS);
        }
        progress.say(format!("measuring for {} s", self.seconds));
        if counts_work {
            let profile = profile::profile(&mut runner, self.seconds)?;
            drop(progress);
            let text = match (self.profile, self.json) {
                (true, false) => profile.to_text(),
                (true, true) => format!("{}\n", profile.to_json()),
                (false, false) => roofline::to_text(&profile),
                (false, true) => format!("{}\n", roofline::to_json(&profile)),
            };
            write!(out, "{text}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let measurement = measure::measure(&mut runner, self.seconds)?;
        let errors = runner.errors()?;
        drop(progress);
        match self.json {
            true => writeln!(out, "{}", to_json(&runner, &measurement, errors))?,
            false => write!(out, "{}", to_text(&runner, &measurement, errors))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Adds the entries of one JSON object to another.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn to_json(runner: &Runner, measurement: &Measurement, errors: Option<Errors>) -> Value {
    let mut line = runner.describe();
    extend(&mut line, measurement.to_json());
    extend(&mut line, json!({ "peak_rss_mb": peak_rss_mb() }));
    if let Some(errors) = errors {
        extend(&mut line, errors.to_json());
    }
    line
}

fn to_text(runner: &Runner, m: &Measurement, errors: Option<Errors>) -> String {
    let report = runner.report();
    let errors = errors.map_or(String::new(), |e| {
        format!("error     at most {:.3e}, {:.3e} of the largest expected\n", e.max_abs, e.max_rel)
    });
    let stages: Vec<String> =
        report.stages.iter().map(|(name, ms)| format!("{name} {ms:.1}")).collect();
    format!(
        "loaded    in {:.1} ms, compiled in {:.1} ms ({}), first result after {:.3} s\n\
         program   {} kernels, {} launches, arena {} (at least {}), constants {}\n\
         run       {:.3} ms median, {:.3} to {:.3} ms (10 to 90 %), {:.3} ms least, {} runs\n\
         process   {:.2} processors used, {} peak memory\n{errors}",
        runner.load_ms(),
        report.total_ms(),
        stages.join(", "),
        runner.to_first_s(),
        report.n_kernels,
        report.n_launches,
        table::bytes(report.arena_bytes),
        table::bytes(report.max_live_bytes),
        table::bytes(report.constant_bytes),
        m.median_ms,
        m.p10_ms,
        m.p90_ms,
        m.min_ms,
        m.n,
        m.cpu_per_wall,
        peak_rss_mb().map_or("unknown".into(), |mb| format!("{mb:.0} MiB")),
    )
}
