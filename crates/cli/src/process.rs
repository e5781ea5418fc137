//! What the system tells of this process and its machine.

use anyhow::bail;
use rustix::time::{ClockId, clock_gettime};
use tracelift::runtime::{Plan, Port};

use crate::table;

/// The processor time used by all threads, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The memory resident now, in MiB; `None` where the system does not tell.
pub fn rss_mb() -> Option<f64> {
    status_mb("VmRSS:")
}

/// The most memory ever resident, in MiB; `None` where the system does not tell.
pub fn peak_rss_mb() -> Option<f64> {
    status_mb("VmHWM:")
}

fn status_mb(field: &str) -> Option<f64> {
    Some(kib_of("/proc/self/status", field)? as f64 / 1024.0)
}

/// The number behind a field of a file that counts in KiB.
fn kib_of(file: &str, field: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Refuses a program that needs more memory than the machine has, which would end the process.
///
/// # Errors
/// Says how much it needs.
pub fn check_memory(plan: &Plan, n_threads: usize) -> anyhow::Result<()> {
    let Some(present) = kib_of("/proc/meminfo", "MemTotal:") else { return Ok(()) };
    let present = present.saturating_mul(1024);
    let outputs = plan.outputs.iter().map(Port::size_bytes);
    let scratch = plan.scratch_bytes.saturating_mul(n_threads);
    let needed = outputs.fold(plan.arena_bytes.saturating_add(scratch), usize::saturating_add);
    if needed <= present {
        return Ok(());
    }
    bail!(
        "the model needs {} for intermediate values and outputs\n  expected: at most {}, the \
         memory of this machine",
        table::bytes(needed),
        table::bytes(present)
    )
}
