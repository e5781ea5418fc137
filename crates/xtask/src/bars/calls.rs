//! What a call costs: the small network compiled, and by hand in a program built for this processor.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, bail};
use tracelift::{Model, Options, tensor::Tensor};
use tracelift_bench::{Runnable, by_hand::N_IN, mlp};

use super::{
    MIN_PLACES,
    bar::{Bar, Side},
    median,
    results::Calls,
    say,
};

const N_CALLS: u32 = 2000;
const N_BATCHES: usize = 20;

/// Measures both in turn, each round at other addresses: the program in a process of its own, the
/// network compiled again.
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
    let x = Tensor::new(&[1, N_IN], &mlp::input());
    let mut calls = Calls::default();
    // Kept, or each would get the memory of the one before.
    let mut places = Vec::new();
    for _ in 0..rounds.max(MIN_PLACES) {
        let [plain, by_hand] = by_hand_ns(&program)?;
        calls.plain_ns.push(plain);
        calls.by_hand_ns.push(by_hand);
        let compiled = Model::from_graph(mlp::graph()?).compile(&Options::default())?;
        let mut runnable = Runnable::with_inputs(&compiled, std::slice::from_ref(&x), 1)?;
        calls.compiled_ns.push(best_ns(&mut runnable)?);
        places.push(runnable);
    }
    say(&format!(
        "network of 1,004 parameters: {:.1} ns compiled, by hand {:.1} ns plain and {:.1} ns for vectors",
        middle(&calls.compiled_ns),
        middle(&calls.plain_ns),
        middle(&calls.by_hand_ns)
    ));
    Ok(calls)
}

/// The nanoseconds of a call of the network by hand, with plain loops and with loops for vectors.
fn by_hand_ns(program: &Path) -> anyhow::Result<[f64; 2]> {
    let text = String::from_utf8(Command::new(program).output()?.stdout)?;
    let (plain, for_vectors) = text.trim().split_once(' ').context("a line has two numbers")?;
    Ok([plain.parse()?, for_vectors.parse()?])
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

fn middle(values: &[f64]) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

/// The bars: the ratio in the middle of the rounds to each way to write it by hand.
pub fn bars(calls: &Calls) -> Vec<Bar> {
    let bar = |how: &str, by_hand_ns: &[f64]| {
        let pairs = calls.compiled_ns.iter().zip(by_hand_ns);
        let ratios: Vec<f64> = pairs.map(|(ours, by_hand)| ours / by_hand).collect();
        let (ours, by_hand) = (middle(&calls.compiled_ns), middle(by_hand_ns));
        Bar {
            group: "calls",
            name: format!("1,004 parameters against {how}"),
            figure: median(&ratios),
            side: Side::AtMost,
            bound: 1.0,
            unit: "of the time by hand",
            note: format!("({ours:.0} ns against {by_hand:.0} ns)"),
        }
    };
    vec![bar("plain loops", &calls.plain_ns), bar("loops for vectors", &calls.by_hand_ns)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_held_against_both_ways_to_write_it() {
        let calls = Calls {
            compiled_ns: vec![60.0, 60.0, 90.0],
            plain_ns: vec![300.0, 300.0, 450.0],
            by_hand_ns: vec![40.0, 40.0, 60.0],
        };
        let found: Vec<_> = bars(&calls).iter().map(|bar| (bar.figure, bar.passes())).collect();
        assert_eq!(found, [(Some(0.2), true), (Some(1.5), false)]);
    }
}
