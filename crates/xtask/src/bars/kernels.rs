//! Single kernels against the machine's peak and bandwidth, measured in turn.

use std::time::Instant;

use tracelift::{Options, runtime::probe::Probe};
use tracelift_bench::{
    Runnable,
    kernels::{Case, Kind, cases},
};

use super::{
    MIN_PLACES,
    bar::{Bar, Side},
    median,
    results::Kernel,
    say,
};

/// The seconds that a kernel runs in a round.
const ROUND_SECONDS: f64 = 0.01;

/// Measures every kernel on one thread; a round is the machine's peak, its bandwidth, and the
/// kernel in memory that no other round has.
///
/// # Errors
/// When a kernel cannot be compiled.
pub fn measure(rounds: usize) -> anyhow::Result<Vec<Kernel>> {
    let mut out = Vec::new();
    for case in cases() {
        let kernel = one(&case, rounds)?;
        say(&format!(
            "{}: {:.1} µs, {:.1} GFLOP/s ({:.0} % of the peak), {:.1} GB/s ({:.0} %)",
            kernel.name,
            kernel.us,
            kernel.gflops,
            100.0 * kernel.peak_share,
            kernel.gb_per_s,
            100.0 * kernel.read_share
        ));
        out.push(kernel);
    }
    Ok(out)
}

fn one(case: &Case, rounds: usize) -> anyhow::Result<Kernel> {
    let mut options = Options { compile_threads: 1, ..Options::default() };
    // The bars are of the direct form.
    options.lower.winograd_budget = 0.0;
    let runnable = Runnable::new(case.graph()?, &options)?;
    // Kernels skip products with padding, which therefore do not count.
    let flops = match case.flops {
        0 => runnable.cost().flops as f64,
        usual => usual as f64 * case.unpadded_share(),
    };
    let probe = Probe::new(1);
    let (mut times, mut peaks, mut reads, mut roofs) = (vec![], vec![], vec![], vec![]);
    // Kept, or the system would give the same pages again.
    let mut places = Vec::new();
    for _ in 0..rounds.max(MIN_PLACES) {
        places.push(runnable.elsewhere());
        let runnable = places.last_mut().expect("one was pushed");
        runnable.run()?;
        let gflops = probe.fma_gflops(10);
        let gb_per_s = probe.read_gb_per_s(case.bytes as usize, 10);
        let ns = best_ns(runnable)?;
        let (peak, read) = (flops / ns / gflops, case.bytes as f64 / ns / gb_per_s);
        times.push(ns);
        peaks.push(peak);
        reads.push(read);
        roofs.push(peak.max(read));
    }
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let ns = middle(&times);
    let peak_share = middle(&peaks);
    Ok(Kernel {
        name: case.name.clone(),
        kind: format!("{:?}", case.kind),
        us: ns * 1e-3,
        gflops: flops / ns,
        gb_per_s: case.bytes as f64 / ns,
        peak_share,
        padded_share: peak_share / case.unpadded_share(),
        read_share: middle(&reads),
        roof_share: middle(&roofs),
        ns_per_element: ns / case.n_elements as f64,
    })
}

/// The nanoseconds of the fastest run of a round.
fn best_ns(runnable: &mut Runnable) -> anyhow::Result<f64> {
    let (start, mut best, mut n_runs) = (Instant::now(), u64::MAX, 0);
    while n_runs < 3 || start.elapsed().as_secs_f64() < ROUND_SECONDS {
        best = best.min(runnable.run_kernels()?);
        n_runs += 1;
    }
    Ok(best as f64)
}

/// The bars of products, convolutions, depthwise convolutions and the exact GELU.
pub fn bars(list: &[Kernel]) -> Vec<Bar> {
    let of_kind = |kind: Kind| list.iter().filter(move |k| k.kind == format!("{kind:?}"));
    let mut out = Vec::new();
    let mut push = |kernel: &Kernel, figure, side, bound, unit, note: String| {
        let (group, name) = ("kernels", kernel.name.clone());
        out.push(Bar { group, name, figure: Some(figure), side, bound, unit, note });
    };
    for k in of_kind(Kind::Gemm) {
        let note = format!("({:.1} GFLOP/s)", k.gflops);
        push(k, 100.0 * k.peak_share, Side::AtLeast, 95.0, "% of peak", note);
    }
    for k in of_kind(Kind::Gemv) {
        let note = format!("({:.1} GB/s)", k.gb_per_s);
        push(k, 100.0 * k.read_share, Side::AtLeast, 85.0, "% of read", note);
    }
    for k in of_kind(Kind::Convolution) {
        let padded = 100.0 * k.padded_share;
        let note = format!("({:.1} GFLOP/s; {padded:.0} % if padding counted)", k.gflops);
        push(k, 100.0 * k.peak_share, Side::AtLeast, 90.0, "% of peak", note);
    }
    for k in of_kind(Kind::Depthwise) {
        let note = format!("({:.1} GFLOP/s, {:.1} GB/s)", k.gflops, k.gb_per_s);
        push(k, 100.0 * k.roof_share, Side::AtLeast, 80.0, "% of roof", note);
    }
    for k in of_kind(Kind::Gelu) {
        push(k, k.ns_per_element, Side::AtMost, 0.5, "ns/element", String::new());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_figure_and_bound() {
        let kernel = |kind: &str| Kernel {
            name: kind.into(),
            kind: kind.into(),
            peak_share: 0.96,
            read_share: 0.86,
            roof_share: 0.75,
            ns_per_element: 0.6,
            ..Kernel::default()
        };
        let kinds = ["Gemm", "Gemv", "Convolution", "Depthwise", "Gelu", "Rows"];
        let found = bars(&kinds.map(kernel));
        let found: Vec<_> = found.iter().map(|bar| (&*bar.name, bar.passes())).collect();
        let expected = [
            ("Gemm", true),
            ("Gemv", true),
            ("Convolution", true),
            ("Depthwise", false),
            ("Gelu", false),
        ];
        assert_eq!(found, expected);
    }
}
