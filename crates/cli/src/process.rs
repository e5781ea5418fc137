//! What the system tells of this process.

use rustix::time::{ClockId, clock_gettime};

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
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
