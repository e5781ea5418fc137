//! What a call costs: the small network compiled, and by hand in a program built for this processor.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail};
use tracelift::{Model, Options, tensor::Tensor};
use tracelift_bench::{Runnable, by_hand::N_IN, mlp};

use super::{
    bar::{Bar, Side},
    median,
    results::Calls,
    say,
};

const N_CALLS: u32 = 2000;
const N_BATCHES: usize = 20;

/// Measures both in turn.
///
/// # Errors
/// When the program written by hand cannot be built.
pub fn measure(root: &Path, rounds: usize) -> anyhow::Result<Calls> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("by_hand");
    let source = root.join("crates/bench/hand/main.rs");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "-C", "target-cpu=native", "-C", "panic=abort", "-o"]);
    if !rustc.arg(&program).arg(source).status()?.success() {
        bail!("rustc failed");
    }
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("standard input is piped")?;
    let mut lines =
        BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
    let compiled = Model::from_graph(mlp::graph()?).compile(&Options::default())?;
    let x = Tensor::new(&[1, N_IN], &mlp::input());
    let mut runnable = Runnable::with_inputs(&compiled, &[x], 1)?;
    let mut calls = Calls::default();
    for _ in 0..rounds.max(3) {
        writeln!(input, "measure")?;
        let line = lines.next().context("the program answers each line")??;
        calls.by_hand_ns.push(line.parse()?);
        calls.compiled_ns.push(best_ns(&mut runnable)?);
    }
    drop(input);
    child.wait()?;
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let (ours, by_hand) = (middle(&calls.compiled_ns), middle(&calls.by_hand_ns));
    say(&format!("network of 1,004 parameters: {ours:.1} ns compiled, {by_hand:.1} ns by hand"));
    Ok(calls)
}

/// The nanoseconds of a call in the fastest batch.
fn best_ns(runnable: &mut Runnable) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..N_BATCHES {
        let start = Instant::now();
        for _ in 0..N_CALLS {
            runnable.run()?;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(N_CALLS));
    }
    Ok(best)
}

/// The bar: the ratio in the middle of the rounds.
pub fn bar(calls: &Calls) -> Bar {
    let pairs = calls.compiled_ns.iter().zip(&calls.by_hand_ns);
    let ratios: Vec<f64> = pairs.map(|(ours, by_hand)| ours / by_hand).collect();
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let (ours, by_hand) = (middle(&calls.compiled_ns), middle(&calls.by_hand_ns));
    Bar {
        group: "calls",
        name: "network of 1,004 parameters".into(),
        figure: median(&ratios),
        side: Side::AtMost,
        bound: 1.0,
        unit: "of the time by hand",
        note: format!("({ours:.0} ns against {by_hand:.0} ns)"),
    }
}
