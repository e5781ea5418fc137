//! `bars`: measures everything the project must show and says which bars are reached.
//!
//! In: the models and engines that `crates/bench/peers/setup.sh` has made.  Out: one line per bar,
//! and a file of results for `performance`.

mod agreement;
pub mod bar;
mod calls;
pub mod engine;
mod kernels;
pub mod latency;
mod machine;
pub mod results;
mod startup;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use clap::Args;
use tracelift_bench::models;

use bar::Bar;
use results::Results;

/// The rounds of kernels and calls, at least: each has other addresses, on which they depend.
const MIN_PLACES: usize = 9;

/// What can be measured by itself.
const PARTS: [&str; 6] = ["latency", "startup", "kernels", "calls", "accuracy", "threads"];

/// What is measured, and how long.
#[derive(Args)]
pub struct Bars {
    /// The parts: latency, startup (and memory), kernels, calls, accuracy, threads [default: all]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Option<Vec<String>>,
    /// The models [default: all that are present]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// The engines to compare with
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_values = engine::PEERS)]
    engines: Vec<String>,
    /// The numbers of threads whose latency is measured
    #[arg(long, value_name = "N,M", value_delimiter = ',', default_values = ["1", "2"])]
    threads: Vec<usize>,
    /// How often everything is measured in turn
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// The seconds of one engine in one round
    #[arg(long, value_name = "S", default_value_t = 1.5)]
    seconds: f64,
    /// Print the results as one line of JSON
    #[arg(long)]
    json: bool,
    /// Where the results go; what the file has of other parts is kept
    #[arg(long, value_name = "FILE", default_value = "target/bars.json")]
    out: PathBuf,
}

/// Measures, prints the bars, and writes the results.
///
/// # Errors
/// When something cannot be measured or written; not when a bar is not reached.
pub fn main(root: &Path, bars: &Bars) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        return in_release(root);
    }
    let parts: Vec<&str> = match &bars.only {
        Some(only) => only.iter().map(String::as_str).collect(),
        None => PARTS.to_vec(),
    };
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        bail!("found part '{unknown}', expected some of {}", PARTS.join(", "));
    }
    let out = root.join(&bars.out);
    let mut results = Results::read_or_new(&out)?;
    results.machine = machine::describe()?;
    let names = bars.model_names()?;
    for part in parts {
        match part {
            "latency" => results.latency = latency::measure(bars, &names, &mut results.versions)?,
            "startup" => results.startup = startup::measure(bars, &names, &mut results.versions)?,
            "kernels" => results.kernels = kernels::measure(bars.rounds)?,
            "calls" => results.calls = Some(calls::measure(root, bars.rounds)?),
            "accuracy" => results.accuracy = agreement::errors(&names)?,
            _ => results.threads = agreement::threads(&names)?,
        }
        results.write(&out)?;
    }
    let list = all_bars(&results);
    match bars.json {
        true => println!("{}", results.to_json(&list)?),
        false => print!("{}", bar::table(&list)),
    }
    Ok(())
}

/// Every bar that the results speak of.
pub fn all_bars(results: &Results) -> Vec<Bar> {
    let mut list = latency::bars(&results.latency);
    list.extend(startup::bars(&results.startup));
    list.extend(kernels::bars(&results.kernels));
    list.extend(results.calls.iter().flat_map(calls::bars));
    list.extend(agreement::bars(&results.accuracy, &results.threads));
    list
}

impl Bars {
    fn model_names(&self) -> anyhow::Result<Vec<String>> {
        let present = models::present();
        let Some(asked) = &self.models else {
            return Ok(present.iter().map(ToString::to_string).collect());
        };
        if let Some(missing) = asked.iter().find(|name| !present.contains(&name.as_str())) {
            bail!("model {missing} is not in {}", models::data_folder().display());
        }
        Ok(asked.clone())
    }
}

/// Builds the compiler's program and this one for speed, and goes on there.
pub fn in_release(root: &Path) -> anyhow::Result<()> {
    // Apart, so that the program is the one that its users build.
    release_program(root, "tracelift-cli", "tracelift")?;
    let xtask = release_program(root, "xtask", "xtask")?;
    let run = Command::new(xtask).args(env::args().skip(1)).status()?;
    if !run.success() {
        bail!("xtask failed");
    }
    Ok(())
}

/// Builds a program of a package for speed; its path.
pub fn release_program(root: &Path, package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let build = ["build", "--release", "--package", package];
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo).args(build).current_dir(root).status()?;
    if !built.success() {
        bail!("cargo {} failed", build.join(" "));
    }
    let here = env::current_exe()?;
    let target = here.ancestors().nth(2).context("programs lie in a folder of the target")?;
    Ok(target.join("release").join(program))
}

/// The number in the middle; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (n > 0).then(|| (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0)
}

/// Tells on standard error what is going on.
fn say(text: &str) {
    eprintln!("{text}");
}

/// Reads a file of the benchmark data.
fn read_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_between_the_middle_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }
}
