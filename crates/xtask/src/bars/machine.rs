//! The machine: what it is called and what it can do.

use std::path::Path;

use tracelift::{runtime::probe::Probe, tensor::Target};

use super::{read_text, results::Machine};

/// Working sets in MB: inside the second cache, the third, and memory.
const WORKING_SETS: [f64; 4] = [0.5, 8.0, 16.0, 256.0];

/// Describes and measures this machine.
///
/// # Errors
/// When it is not supported.
pub fn describe() -> anyhow::Result<Machine> {
    let field = |file: &str, name: &str| {
        let text = read_text(Path::new(file)).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_string);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_string()))
    };
    let kib = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = kib.trim_end_matches(" kB").parse().unwrap_or(0.0);
    let probe = Probe::new(1);
    let bandwidth = |mb: f64| (mb, probe.read_gb_per_s((mb * 1e6) as usize, 10));
    Ok(Machine {
        processor: field("/proc/cpuinfo", "model name").unwrap_or("unknown".into()),
        n_processors: std::thread::available_parallelism().map_or(1, |n| n.get()),
        target: Target::host()?.isa.name().to_string(),
        memory_gib: (kib / f64::from(1 << 20)).round() as usize,
        gflops: probe.fma_gflops(20),
        read_gb_per_s: WORKING_SETS.into_iter().map(bandwidth).collect(),
    })
}
