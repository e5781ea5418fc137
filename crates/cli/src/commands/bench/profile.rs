//! The time of each launch.

use std::time::Instant;

use super::{measure::quantile, runner::Runner};
use crate::table::Table;

/// The most runs that are profiled.
const MOST_RUNS: usize = 1000;

/// Profiles runs for some seconds; one line per launch, the slowest first, medians over the runs.
///
/// # Errors
/// When a run is refused.
pub fn profile(runner: &mut Runner, seconds: f64) -> anyhow::Result<String> {
    let mut times: Vec<Vec<f64>> = Vec::new();
    let start = Instant::now();
    let mut n_runs = 0;
    while n_runs < 3 || start.elapsed().as_secs_f64() < seconds && n_runs < MOST_RUNS {
        let run = runner.run_profiled()?;
        times.resize(run.len(), Vec::new());
        for (launch, nanos) in times.iter_mut().zip(run) {
            launch.push(nanos as f64 * 1e-3);
        }
        n_runs += 1;
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        quantile(times, 0.5)
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    let total: f64 = medians.iter().sum();
    let mut order: Vec<usize> = (0..medians.len()).collect();
    order.sort_by(|&a, &b| medians[b].total_cmp(&medians[a]));
    let plan = runner.program().program().plan();
    let mut table = Table::new([">launch", ">µs", ">%", ">tasks", "kernel", "from"]);
    for k in order {
        let launch = &plan.launches[k];
        table.row([
            k.to_string(),
            format!("{:.1}", medians[k]),
            format!("{:.1}", 100.0 * medians[k] / total.max(1e-9)),
            launch.n_tasks.to_string(),
            plan.kernels[launch.kernel].clone(),
            shortened(&launch.label),
        ]);
    }
    Ok(format!("{table}{:.1} µs in launches, medians of {n_runs} runs\n", total))
}

/// The start of a list of sources.
fn shortened(label: &str) -> String {
    const LONGEST: usize = 70;
    match label.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &label[..at]),
        None => label.to_string(),
    }
}
