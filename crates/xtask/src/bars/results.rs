//! What was measured, as a file keeps it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bar::Bar;

/// Everything measured; parts that were not are empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// The machine.
    pub machine: Machine,
    /// The engines' versions.
    pub versions: BTreeMap<String, String>,
    /// Times of whole models.
    pub latency: Vec<Latency>,
    /// Fresh processes.
    pub startup: Vec<Startup>,
    /// Single kernels.
    pub kernels: Vec<Kernel>,
    /// The small network.
    pub calls: Option<Calls>,
    /// Errors of whole models.
    pub accuracy: Vec<Accuracy>,
    /// Agreement of numbers of threads.
    pub threads: Vec<Agreement>,
}

/// The machine that measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// The number of processors seen.
    pub n_processors: usize,
    /// The instruction set that code is compiled for.
    pub target: String,
    /// Memory in GiB, rounded.
    pub memory_gib: usize,
    /// 10⁹ floating-point operations per second of one core.
    pub gflops: f64,
    /// Megabytes of working set and 10⁹ bytes read per second by one core.
    pub read_gb_per_s: Vec<(f64, f64)>,
}

/// One model in one engine, measured in turn with others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The model.
    pub model: String,
    /// The number of threads.
    pub threads: usize,
    /// The engine.
    pub engine: String,
    /// The median milliseconds of each round.
    pub rounds_ms: Vec<f64>,
    /// The largest error over the largest number expected.
    pub max_rel_err: Option<f64>,
    /// Why it could not be measured.
    pub failure: Option<String>,
    /// The model's operations without products with padding.
    pub flops: f64,
}

/// One model in fresh processes of one engine, on one thread.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Startup {
    /// The model.
    pub model: String,
    /// The engine.
    pub engine: String,
    /// Seconds from the file to the first result, of each process.
    pub to_first_s: Vec<f64>,
    /// The most memory resident, in MiB, of each process.
    pub peak_rss_mb: Vec<f64>,
}

/// One kernel, measured in turn with the machine's peak.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kernel {
    /// The name.
    pub name: String,
    /// The kind, such as `Gemm`.
    pub kind: String,
    /// Microseconds, the median over the rounds.
    pub us: f64,
    /// 10⁹ floating-point operations per second, without those on padding.
    pub gflops: f64,
    /// 10⁹ bytes of operands and results per second.
    pub gb_per_s: f64,
    /// The share of the machine's peak, measured in the same rounds.
    pub peak_share: f64,
    /// The same share if operations on padding counted, as they usually do.
    pub padded_share: f64,
    /// The share of the read bandwidth at the same working set, measured in the same rounds.
    pub read_share: f64,
    /// The share of the roofline: of what bounds it, operations or bytes.
    pub roof_share: f64,
    /// Nanoseconds per element of the result.
    pub ns_per_element: f64,
}

/// The small network, compiled and by hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Calls {
    /// Nanoseconds of a call of the compiled network, of each round.
    pub compiled_ns: Vec<f64>,
    /// Nanoseconds of a call of the network written by hand with plain loops, of each round.
    pub plain_ns: Vec<f64>,
    /// Nanoseconds of a call of the network written by hand for vectors, of each round.
    pub by_hand_ns: Vec<f64>,
}

/// The error of one model's compiled code.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// The model.
    pub model: String,
    /// The largest error over the largest number expected, of all outputs.
    pub max_rel_err: f64,
}

/// Whether one model gives the same bits on any number of threads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agreement {
    /// The model.
    pub model: String,
    /// The number of output bytes that differ from those of one thread.
    pub n_bytes_different: usize,
}

impl Results {
    /// Reads a file, or gives empty results where there is none.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn read_or_new(path: &Path) -> anyhow::Result<Results> {
        if path.is_file() { Results::read(path) } else { Ok(Results::default()) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn read(path: &Path) -> anyhow::Result<Results> {
        let text = super::read_text(path)?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Results and bars as one line.
    ///
    /// # Errors
    /// Never for numbers that JSON has.
    pub fn to_json(&self, bars: &[Bar]) -> anyhow::Result<String> {
        let bars: Vec<_> = bars
            .iter()
            .map(|bar| {
                json!({
                    "group": bar.group, "name": bar.name, "figure": bar.figure,
                    "wanted": bar.wanted(), "passes": bar.passes(), "note": bar.note,
                })
            })
            .collect();
        Ok(json!({ "results": self, "bars": bars }).to_string())
    }
}
