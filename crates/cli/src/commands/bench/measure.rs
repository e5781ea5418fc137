//! Times of many runs.

use std::time::Instant;

use serde_json::{Value, json};

use super::runner::Runner;
use crate::process::cpu_seconds;

/// The times of some runs.
pub struct Measurement {
    /// The number of runs.
    pub n: usize,
    /// Milliseconds of the run in the middle.
    pub median_ms: f64,
    /// Milliseconds that a tenth of the runs stay below.
    pub p10_ms: f64,
    /// Milliseconds that a tenth of the runs exceed.
    pub p90_ms: f64,
    /// Milliseconds of the fastest run.
    pub min_ms: f64,
    /// The processor time of all threads per time passed.
    pub cpu_per_wall: f64,
}

/// Runs for some seconds, after a tenth of that unmeasured; at least three times.
///
/// # Errors
/// When a run is refused.
pub fn measure(runner: &mut Runner, seconds: f64) -> anyhow::Result<Measurement> {
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.1 * seconds {
        runner.run()?;
    }
    let mut times = Vec::new();
    let (cpu, start) = (cpu_seconds(), Instant::now());
    while times.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        let begin = Instant::now();
        runner.run()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_per_wall = (cpu_seconds() - cpu) / start.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Ok(Measurement {
        n: times.len(),
        median_ms: quantile(&times, 0.5),
        p10_ms: quantile(&times, 0.1),
        p90_ms: quantile(&times, 0.9),
        min_ms: times[0],
        cpu_per_wall,
    })
}

/// A quantile of sorted numbers, at least one, interpolated between neighbours.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = at as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

impl Measurement {
    /// The numbers under their names.
    pub fn to_json(&self) -> Value {
        json!({
            "n": self.n,
            "median_ms": self.median_ms,
            "p10_ms": self.p10_ms,
            "p90_ms": self.p90_ms,
            "min_ms": self.min_ms,
            "cpu_per_wall": self.cpu_per_wall,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        // Values: numpy 2.4.6, numpy.quantile.
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&sorted, 0.5), 3.0);
        assert!((quantile(&sorted, 0.9) - 6.8).abs() < 1e-12);
        assert_eq!(quantile(&[5.0], 0.1), 5.0);
    }
}
