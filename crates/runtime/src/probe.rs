//! What this machine can do at most: floating-point operations and bytes read per second.
//!
//! Both are measured, not looked up, so that a kernel's share of them is of the machine as it is at
//! that moment.

use std::{hint::black_box, sync::Barrier, time::Instant};

use crate::machine::{AlignedBytes, vectors};

/// The shortest time a round takes, in seconds.
const ROUND_SECONDS: f64 = 1e-3;

/// Measures with some threads at once, one after the other what is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    n_threads: usize,
}

impl Probe {
    /// A probe of `n_threads` threads, at least one.
    pub fn new(n_threads: usize) -> Probe {
        Probe { n_threads: n_threads.max(1) }
    }

    /// The most f32 operations per second of all threads together, in 10⁹, a fused multiply-add
    /// counted as two: the best of some rounds.
    pub fn fma_gflops(&self, n_rounds: usize) -> f64 {
        self.best(n_rounds, 10_000, || vectors::multiply_add)
    }

    /// The most bytes read per second by all threads together, in 10⁹, when each reads its part of
    /// `total_bytes` again and again: the best of some rounds.
    pub fn read_gb_per_s(&self, total_bytes: usize, n_rounds: usize) -> f64 {
        let part = (total_bytes / self.n_threads).next_multiple_of(1024).max(1024);
        let work = || {
            let mut bytes = AlignedBytes::zeroed(part);
            // Written once, since untouched pages would all be the same page of zeros.
            bytes.fill(1);
            move |n_steps: u64| {
                let reads = (0..n_steps).map(|_| vectors::read(black_box(&bytes)));
                reads.fold((0, 0.0), |(n, sum), (more, other)| (n + more, sum + other))
            }
        };
        self.best(n_rounds, 1, work)
    }

    /// The best rate over rounds: units of work per nanosecond, all threads together. `make` gives
    /// each thread what does some steps and says how many units they were.
    fn best<W: FnMut(u64) -> (u64, f32)>(
        &self,
        n_rounds: usize,
        least_steps: u64,
        make: impl Fn() -> W + Sync,
    ) -> f64 {
        let barrier = Barrier::new(self.n_threads);
        let rates = std::thread::scope(|scope| {
            let one = || {
                let mut work = make();
                let n_steps = enough_steps(least_steps, &mut work);
                let rates = (0..n_rounds.max(1)).map(|_| {
                    barrier.wait();
                    rate(n_steps, &mut work)
                });
                rates.collect::<Vec<f64>>()
            };
            let others: Vec<_> = (1..self.n_threads).map(|_| scope.spawn(one)).collect();
            let mut all = vec![one()];
            all.extend(others.into_iter().map(|t| t.join().expect("a probe does not panic")));
            all
        });
        let of_round = |round: usize| rates.iter().map(|of_thread| of_thread[round]).sum::<f64>();
        (0..n_rounds.max(1)).map(of_round).fold(0.0, f64::max)
    }
}

/// The number of steps that take as long as a round should.
fn enough_steps(least: u64, work: &mut impl FnMut(u64) -> (u64, f32)) -> u64 {
    let mut n_steps = least;
    loop {
        let start = Instant::now();
        black_box(work(n_steps));
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= ROUND_SECONDS / 2.0 {
            return n_steps;
        }
        n_steps *= 2;
    }
}

/// Units of work per nanosecond.
fn rate(n_steps: u64, work: &mut impl FnMut(u64) -> (u64, f32)) -> f64 {
    let start = Instant::now();
    let (n, _) = black_box(work(n_steps));
    n as f64 / (start.elapsed().as_nanos() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_measures_something_plausible() {
        for n_threads in [1, 2] {
            let probe = Probe::new(n_threads);
            let gflops = probe.fma_gflops(1);
            assert!((0.01..10_000.0).contains(&gflops), "{gflops}");
            let gb_per_s = probe.read_gb_per_s(64 << 10, 1);
            assert!((0.01..10_000.0).contains(&gb_per_s), "{gb_per_s}");
        }
    }
}
