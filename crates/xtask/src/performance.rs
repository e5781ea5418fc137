//! `performance`: writes `docs/performance.md` from one file of results of `bars`.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use anyhow::Context;

use crate::bars::{
    all_bars,
    bar::{Bar, number},
    engine::{OURS, PEERS},
    latency, median,
    results::{Kernel, Latency, Results, Startup},
};

const NOTE: &str =
    "<!-- Written by `cargo xtask performance` from the results of `cargo xtask bars`. -->\n";

/// Writes the page.
///
/// # Errors
/// When the results cannot be read or the page cannot be written.
pub fn main(root: &Path, results: &Path) -> anyhow::Result<()> {
    let results = Results::read(&root.join(results))?;
    let path = root.join("docs/performance.md");
    fs::write(&path, page(&results)).with_context(|| format!("writing {}", path.display()))
}

/// The whole page.
fn page(results: &Results) -> String {
    let mut out = format!("{NOTE}\n# Performance\n\n{}", machine(results));
    out += &latency_tables(results);
    out += &startup_tables(results);
    out += &kernel_table(&results.kernels);
    out += &bars_table(&all_bars(results));
    out
}

fn machine(results: &Results) -> String {
    let m = &results.machine;
    let reads: Vec<String> = m
        .read_gb_per_s
        .iter()
        .map(|(mb, rate)| format!("{} GB/s of {} MB", number(*rate), number(*mb)))
        .collect();
    let mut out = format!(
        "Measured on: {}, {} processors, {} GiB; code for {}. One core does {} GFLOP/s in f32 and \
         reads\n{}.\n",
        m.processor,
        m.n_processors,
        m.memory_gib,
        m.target,
        number(m.gflops),
        reads.join(", ")
    );
    let versions: Vec<String> =
        results.versions.iter().map(|(engine, version)| format!("{engine} {version}")).collect();
    if !versions.is_empty() {
        let _ = writeln!(out, "Engines: {}.", versions.join(", "));
    }
    out + "All engines compute in f32; they are measured in turn, and medians are shown.\n"
}

/// The engines that any of some names is of, this project's first.
fn engines<'r>(names: impl Iterator<Item = &'r str>) -> Vec<&'static str> {
    let present: BTreeSet<&str> = names.collect();
    [OURS].into_iter().chain(PEERS).filter(|engine| present.contains(engine)).collect()
}

/// The distinct values in the order they first occur.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut out = Vec::new();
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

fn heading(first: &str, columns: &[&str]) -> String {
    let rest = columns.join(" | ");
    format!("| {first} | {rest} |\n|---|{}\n", "---:|".repeat(columns.len()))
}

fn latency_tables(results: &Results) -> String {
    let list = &results.latency;
    let engines = engines(list.iter().map(|l| l.engine.as_str()));
    let mut out = String::new();
    for threads in distinct(list.iter().map(|l| l.threads)) {
        let plural = if threads == 1 { "thread" } else { "threads" };
        let _ = write!(out, "\n## Latency in ms, {threads} {plural}\n\n");
        let peak = results.machine.gflops * threads as f64;
        out += &heading(
            "model",
            &[&engines[..], &["of the fastest peer", "GFLOP/s", "of peak"]].concat(),
        );
        for model in distinct(list.iter().filter(|l| l.threads == threads).map(|l| &l.model)) {
            let of = |engine: &str| {
                let is_it = |l: &&Latency| {
                    (&l.model, l.threads, l.engine.as_str()) == (model, threads, engine)
                };
                list.iter().find(is_it)
            };
            let ms = |engine: &&str| of(engine).and_then(|l| median(&l.rounds_ms));
            let cells: Vec<String> =
                engines.iter().map(|e| ms(e).map_or("–".into(), number)).collect();
            let ratio = latency::ratio(list, model, threads);
            let ratio = ratio.map_or("–".into(), |(ratio, _)| number(ratio));
            let gflops = of(OURS).zip(ms(&OURS)).map_or(0.0, |(l, ms)| l.flops / ms * 1e-6);
            let share = 100.0 * gflops / peak;
            let cells = cells.join(" | ");
            let _ = writeln!(out, "| {model} | {cells} | {ratio} | {gflops:.0} | {share:.0} % |");
        }
    }
    if !list.is_empty() {
        out += "\nOperations are those of products and convolutions without products with padding; \
                an algorithm\nthat needs fewer can exceed the peak.\n";
    }
    out
}

fn startup_tables(results: &Results) -> String {
    let list = &results.startup;
    let engines = engines(list.iter().map(|s| s.engine.as_str()));
    let mut out = String::new();
    let mut table = |title: &str, values: &dyn Fn(&Startup) -> Vec<f64>| {
        let _ = write!(out, "\n## {title}\n\n");
        out += &heading("model", &engines);
        for model in distinct(list.iter().map(|s| &s.model)) {
            let of = |engine: &&str| {
                list.iter().find(|s| s.model == *model && s.engine.as_str() == *engine)
            };
            let cell = |engine: &&str| {
                of(engine).and_then(|s| median(&values(s))).map_or("–".into(), number)
            };
            let cells: Vec<String> = engines.iter().map(cell).collect();
            let _ = writeln!(out, "| {model} | {} |", cells.join(" | "));
        }
    };
    if !list.is_empty() {
        table("From file to first result in s, 1 thread", &|s| s.to_first_s.clone());
        table("Peak memory of a process in MiB, 1 thread", &|s| s.peak_rss_mb.clone());
        out += "\nPeak memory of the Python engines includes interpreter and packages.\n";
    }
    out
}

fn kernel_table(kernels: &[Kernel]) -> String {
    let mut out = String::new();
    if kernels.is_empty() {
        return out;
    }
    out += "\n## Kernels, 1 thread\n\n";
    let columns = ["µs", "GFLOP/s", "of peak", "GB/s", "of read bandwidth", "ns/element"];
    out += &heading("kernel", &columns);
    for k in kernels {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} % | {} | {:.0} % | {} |",
            k.name,
            number(k.us),
            number(k.gflops),
            100.0 * k.peak_share,
            number(k.gb_per_s),
            100.0 * k.read_share,
            number(k.ns_per_element)
        );
    }
    out + "\nShares are of the peak and the read bandwidth of the same working set, measured in the \
           same rounds.\nConvolutions are named kernel/stride, channels, extent of the input; \
           products with padding do not count.\n"
}

fn bars_table(bars: &[Bar]) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let n_reached = bars.iter().filter(|bar| bar.passes()).count();
    let mut out = format!("\n## Bars\n\n{n_reached} of {} are reached.\n\n", bars.len());
    out += "| | what | found | wanted | |\n|---|---|---:|---:|---|\n";
    for bar in bars {
        let verdict = if bar.passes() { "pass" } else { "**fail**" };
        let (found, wanted) = (bar.found(), bar.wanted());
        let Bar { group, name, unit, note, .. } = bar;
        let last = format!("{unit} {note}");
        let _ =
            writeln!(out, "| {verdict} | {group}: {name} | {found} | {wanted} | {} |", last.trim());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::results::Machine;

    #[test]
    fn the_page_has_every_part_that_was_measured() {
        let latency = |engine: &str, ms: f64| Latency {
            model: "resnet18".into(),
            threads: 1,
            engine: engine.into(),
            rounds_ms: vec![ms],
            max_rel_err: Some(0.0),
            failure: None,
            flops: 3.4e9,
        };
        let results = Results {
            machine: Machine { processor: "A".into(), gflops: 100.0, ..Machine::default() },
            latency: vec![latency(OURS, 40.0), latency("rten", 50.0)],
            startup: vec![Startup {
                model: "resnet18".into(),
                engine: OURS.into(),
                to_first_s: vec![0.1],
                peak_rss_mb: vec![80.0],
            }],
            kernels: vec![Kernel { name: "gelu".into(), ns_per_element: 0.4, ..Kernel::default() }],
            ..Results::default()
        };
        let text = page(&results);
        for line in [
            "## Latency in ms, 1 thread",
            "| model | tracelift | rten | of the fastest peer | GFLOP/s | of peak |",
            "| resnet18 | 40.00 | 50.00 | 0.800 | 85 | 85 % |",
            "| resnet18 | 0.100 |",
            "| gelu | 0 | 0 | 0 % | 0 | 0 % | 0.400 |",
            "| pass | latency: resnet18, 1 threads | 0.800 | < 1.00 | of the fastest peer (rten) |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(page(&Results::default()).matches("## ").count(), 0);
    }
}
