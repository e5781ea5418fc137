//! The time of each launch, beside what the machine could do in that time.

use std::time::Instant;

use serde_json::{Value, json};
use tracelift::{
    loops::{Cost, cost},
    runtime::{Plan, Port, Slot, probe::Probe},
};

use super::{extend, measure::quantile, runner::Runner};
use crate::table::{self, Table};

/// The most runs that are profiled.
const MOST_RUNS: usize = 1000;

/// How often the machine is probed, with runs between.
const N_PROBES: usize = 5;

/// The largest working set whose bandwidth is measured: larger ones lie in main memory as well.
const MOST_BYTES: usize = 256 << 20;

/// What the machine can do, measured between the runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// The threads that run, and that measured together.
    pub n_threads: usize,
    /// 10⁹ floating-point operations per second.
    pub gflops: f64,
    /// The bytes of all constants.
    pub constant_bytes: usize,
    /// 10⁹ bytes read per second from a working set as large as the constants.
    pub constants_gb_per_s: f64,
    /// The bytes of arena, inputs and outputs.
    pub value_bytes: usize,
    /// 10⁹ bytes read per second from a working set as large as arena, inputs and outputs.
    pub values_gb_per_s: f64,
}

/// One launch in the middle of its runs.
pub struct Launch {
    /// The kernel's number.
    pub kernel: usize,
    /// The kernel's name.
    pub name: String,
    /// The source nodes it computes.
    pub label: String,
    /// The number of tasks.
    pub n_tasks: u64,
    /// Microseconds.
    pub us: f64,
    /// What it computes and touches.
    pub cost: Cost,
    /// The microseconds that its operations take at least.
    pub compute_us: f64,
    /// The microseconds that its bytes take at least.
    pub memory_us: f64,
}

/// A profile of some runs.
pub struct Profile {
    /// What the machine can do.
    pub machine: Machine,
    /// The launches in order.
    pub launches: Vec<Launch>,
    /// The number of runs.
    pub n_runs: usize,
    description: Value,
}

impl Launch {
    /// 10⁹ floating-point operations per second.
    pub fn gflops(&self) -> f64 {
        self.cost.flops as f64 / self.us.max(1e-3) * 1e-3
    }

    /// 10⁹ bytes per second.
    pub fn gb_per_s(&self) -> f64 {
        self.cost.bytes() as f64 / self.us.max(1e-3) * 1e-3
    }

    fn share(&self, least_us: f64) -> f64 {
        100.0 * least_us / self.us.max(1e-3)
    }
}

/// Profiles runs for some seconds and probes the machine in between; medians over the runs.
///
/// # Errors
/// When a run is refused.
pub fn profile(runner: &mut Runner, seconds: f64) -> anyhow::Result<Profile> {
    let plan = runner.program().program().plan();
    let mut machine = Machine::of(plan, runner.n_threads());
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); plan.launches.len()];
    let mut n_runs = 0;
    for _ in 0..N_PROBES {
        machine.probe();
        let (start, n_before) = (Instant::now(), n_runs);
        let is_over = |n_now: usize| {
            let seconds_over = start.elapsed().as_secs_f64() >= seconds / N_PROBES as f64;
            n_now > n_before && (seconds_over || n_now - n_before >= MOST_RUNS / N_PROBES)
        };
        while !is_over(n_runs) {
            for (launch, nanos) in times.iter_mut().zip(runner.run_profiled()?) {
                launch.push(nanos as f64 * 1e-3);
            }
            n_runs += 1;
        }
    }
    let costs: Vec<Cost> = runner.report().kernels.iter().map(cost).collect();
    let plan = runner.program().program().plan();
    let launches = plan.launches.iter().zip(&mut times).map(|(launch, times)| {
        times.sort_by(f64::total_cmp);
        let cost = costs[launch.kernel].clone();
        Launch {
            kernel: launch.kernel,
            name: plan.kernels[launch.kernel].clone(),
            label: launch.label.to_string(),
            n_tasks: launch.n_tasks,
            us: quantile(times, 0.5),
            compute_us: cost.flops as f64 / machine.gflops * 1e-3,
            memory_us: machine.memory_us(&cost, &launch.operands),
            cost,
        }
    });
    Ok(Profile { machine, launches: launches.collect(), n_runs, description: runner.describe() })
}

impl Machine {
    /// The sizes of what a plan runs on; nothing measured.
    fn of(plan: &Plan, n_threads: usize) -> Machine {
        let ports = plan.inputs.iter().chain(&plan.outputs).map(Port::size_bytes);
        Machine {
            n_threads,
            constant_bytes: plan.constants.iter().map(|c| c.bytes().len()).sum(),
            value_bytes: plan.arena_bytes + ports.sum::<usize>(),
            ..Machine::default()
        }
    }

    /// Measures once more and keeps the best.
    fn probe(&mut self) {
        let probe = Probe::new(self.n_threads);
        let read = |bytes: usize| probe.read_gb_per_s(bytes.min(MOST_BYTES), 8);
        self.gflops = self.gflops.max(probe.fma_gflops(8));
        self.constants_gb_per_s = self.constants_gb_per_s.max(read(self.constant_bytes));
        self.values_gb_per_s = self.values_gb_per_s.max(read(self.value_bytes));
    }

    /// The microseconds that the operands of a launch take at least: constants come from where all
    /// constants fit, the rest from where arena, inputs and outputs fit.
    fn memory_us(&self, cost: &Cost, operands: &[Slot]) -> f64 {
        let per_operand = operands.iter().zip(&cost.operand_bytes).map(|(slot, &bytes)| {
            let gb_per_s = match slot {
                Slot::Constant(_) => self.constants_gb_per_s,
                _ => self.values_gb_per_s,
            };
            bytes as f64 / gb_per_s * 1e-3
        });
        per_operand.sum()
    }

    /// One line for people.
    pub fn to_text(self) -> String {
        format!(
            "machine: {:.1} GFLOP/s, reads {:.1} GB/s of {} (constants) and {:.1} GB/s of {} \
             (values), {} threads\n",
            self.gflops,
            self.constants_gb_per_s,
            table::bytes(self.constant_bytes),
            self.values_gb_per_s,
            table::bytes(self.value_bytes),
            self.n_threads,
        )
    }

    /// The numbers under their names.
    pub fn to_json(self) -> Value {
        json!({
            "threads": self.n_threads,
            "gflops": self.gflops,
            "constant_bytes": self.constant_bytes,
            "constants_gb_per_s": self.constants_gb_per_s,
            "value_bytes": self.value_bytes,
            "values_gb_per_s": self.values_gb_per_s,
        })
    }
}

impl Profile {
    /// The microseconds of all launches.
    pub fn total_us(&self) -> f64 {
        self.launches.iter().map(|launch| launch.us).sum()
    }

    /// One line per launch, the slowest first.
    pub fn to_text(&self) -> String {
        let total = self.total_us().max(1e-3);
        let mut order: Vec<usize> = (0..self.launches.len()).collect();
        order.sort_by(|&a, &b| self.launches[b].us.total_cmp(&self.launches[a].us));
        let mut table = Table::new([
            ">launch", ">µs", ">%", ">GFLOP/s", ">% peak", ">GB/s", ">% read", ">tasks", "kernel",
            "from",
        ]);
        for k in order {
            let launch = &self.launches[k];
            table.row([
                k.to_string(),
                format!("{:.1}", launch.us),
                format!("{:.1}", 100.0 * launch.us / total),
                format!("{:.1}", launch.gflops()),
                format!("{:.0}", launch.share(launch.compute_us)),
                format!("{:.1}", launch.gb_per_s()),
                format!("{:.0}", launch.share(launch.memory_us)),
                launch.n_tasks.to_string(),
                launch.name.clone(),
                shortened(&launch.label),
            ]);
        }
        let flops: u64 = self.launches.iter().map(|launch| launch.cost.flops).sum();
        format!(
            "{table}{total:.1} µs in launches, {:.1} GFLOP/s, medians of {} runs\n{}",
            flops as f64 / total * 1e-3,
            self.n_runs,
            self.machine.to_text()
        )
    }

    /// The description of the program, the machine, and the launches in order.
    pub fn to_json(&self) -> Value {
        let launches: Vec<Value> = self.launches.iter().map(Launch::to_json).collect();
        let mut out = self.describe();
        extend(&mut out, json!({ "total_us": self.total_us(), "launches": launches }));
        out
    }

    /// The description of the program and the machine.
    pub fn describe(&self) -> Value {
        let mut out = self.description.clone();
        extend(&mut out, json!({ "machine": self.machine.to_json(), "n_runs": self.n_runs }));
        out
    }
}

impl Launch {
    fn to_json(&self) -> Value {
        json!({
            "kernel": self.name,
            "from": self.label,
            "tasks": self.n_tasks,
            "us": self.us,
            "flops": self.cost.flops,
            "read_bytes": self.cost.read_bytes,
            "written_bytes": self.cost.written_bytes,
            "gflops": self.gflops(),
            "peak_percent": self.share(self.compute_us),
            "gb_per_s": self.gb_per_s(),
            "read_percent": self.share(self.memory_us),
        })
    }
}

/// The start of a list of sources.
pub fn shortened(label: &str) -> String {
    const LONGEST: usize = 70;
    match label.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &label[..at]),
        None => label.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_values_come_from_different_levels() {
        let machine =
            Machine { constants_gb_per_s: 10.0, values_gb_per_s: 100.0, ..Machine::default() };
        let cost = Cost { operand_bytes: vec![1000, 1_000_000, 1000], ..Cost::default() };
        let operands = [Slot::Input(0), Slot::Constant(0), Slot::Arena(64)];
        assert!((machine.memory_us(&cost, &operands) - 100.02).abs() < 1e-9);
    }

    #[test]
    fn a_launch_knows_its_rates() {
        let cost =
            Cost { flops: 2_000_000, read_bytes: 3000, written_bytes: 1000, ..Cost::default() };
        let launch = Launch {
            kernel: 0,
            name: String::new(),
            label: String::new(),
            n_tasks: 1,
            us: 20.0,
            cost,
            compute_us: 10.0,
            memory_us: 5.0,
        };
        assert!((launch.gflops() - 100.0).abs() < 1e-9);
        assert!((launch.gb_per_s() - 0.2).abs() < 1e-9);
        assert_eq!(launch.share(launch.compute_us), 50.0);
    }
}
