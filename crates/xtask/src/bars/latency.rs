//! Whole models against other engines, all loaded and measured in turn.

use std::collections::BTreeMap;

use serde_json::Value;
use tracelift_bench::models::file;

use super::{
    Bars,
    bar::{Bar, Side},
    engine::{OURS, Worker},
    median, read_text,
    results::Latency,
    say,
};

/// The largest error of a result that counts as one.
const MOST_ERROR: f64 = 1e-2;

/// The kinds of model with the bound on their geometric mean.
const GROUPS: [(&str, &[&str], f64); 4] = [
    ("all models", &[""], 0.88),
    ("ResNets", &["resnet"], 0.80),
    ("MobileNet, SqueezeNet, small CNN", &["mobilenet", "squeezenet", "small_cnn"], 0.85),
    ("BERT, GPT-2", &["bert", "gpt2"], 0.95),
];

/// Measures every model with every number of threads.
///
/// # Errors
/// When this project's engine fails; another's failure is a result.
pub fn measure(
    bars: &Bars,
    models: &[String],
    versions: &mut BTreeMap<String, String>,
) -> anyhow::Result<Vec<Latency>> {
    let mut out = Vec::new();
    for model in models {
        for &threads in &bars.threads {
            out.extend(one(bars, model, threads, versions)?);
        }
    }
    Ok(out)
}

fn one(
    bars: &Bars,
    model: &str,
    threads: usize,
    versions: &mut BTreeMap<String, String>,
) -> anyhow::Result<Vec<Latency>> {
    let root = crate::root();
    let mut results = Vec::new();
    let mut workers: Vec<Option<Worker>> = Vec::new();
    for engine in [OURS].into_iter().chain(bars.engines.iter().map(String::as_str)) {
        let mut result = Latency {
            model: model.to_string(),
            threads,
            engine: engine.to_string(),
            flops: unpadded_flops(model),
            ..Latency::default()
        };
        let worker = Worker::start(&root, engine, model, threads);
        if let Ok(worker) = &worker
            && let Some(version) = worker.loaded["version"].as_str()
        {
            versions.insert(engine.to_string(), version.to_string());
        }
        workers.push(note(&mut result, worker));
        results.push(result);
    }
    for _ in 0..bars.rounds {
        for (worker, result) in workers.iter_mut().zip(&mut results) {
            let Some(running) = worker else { continue };
            match note(result, running.measure(bars.seconds)) {
                Some(ms) => result.rounds_ms.push(ms),
                None => *worker = None,
            }
        }
    }
    for (worker, result) in workers.into_iter().zip(&mut results) {
        let last = worker.and_then(|worker| note(result, worker.finish()));
        result.max_rel_err = last.and_then(|last| last["max_rel_err"].as_f64());
        let ms = median(&result.rounds_ms).map_or("failed".into(), |ms| format!("{ms:.3} ms"));
        say(&format!("{model}, {threads} threads, {}: {ms}", result.engine));
    }
    Ok(results)
}

/// Keeps the reason of a failure.
fn note<T>(result: &mut Latency, outcome: anyhow::Result<T>) -> Option<T> {
    outcome.map_err(|error| result.failure = Some(error.to_string())).ok()
}

/// The model's operations without products with padding; 0 where they are not known.
fn unpadded_flops(model: &str) -> f64 {
    let text = read_text(&file(model, "json")).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    value["flops_without_padding"].as_f64().unwrap_or(0.0)
}

/// Our time over that of the fastest other engine with a right result, and that engine.
pub fn ratio(list: &[Latency], model: &str, threads: usize) -> Option<(f64, String)> {
    let here = list.iter().filter(|l| l.model == model && l.threads == threads);
    let right = here.filter(|l| l.max_rel_err.is_some_and(|error| error < MOST_ERROR));
    let times: Vec<(f64, &str)> =
        right.filter_map(|l| Some((median(&l.rounds_ms)?, l.engine.as_str()))).collect();
    let ours = times.iter().find(|(_, engine)| *engine == OURS)?.0;
    let others = times.iter().filter(|(_, engine)| *engine != OURS);
    let (fastest, engine) = others.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((ours / fastest, engine.to_string()))
}

/// The bars of every model and number of threads, and of groups of models.
pub fn bars(list: &[Latency]) -> Vec<Bar> {
    let bar = |name: String, figure, side, bound, note: String| Bar {
        group: "latency",
        name,
        figure,
        side,
        bound,
        unit: "of the fastest peer",
        note,
    };
    let ours = || list.iter().filter(|l| l.engine == OURS);
    let mut out = Vec::new();
    let mut ratios = Vec::new();
    for l in ours() {
        let found = ratio(list, &l.model, l.threads);
        let name = format!("{}, {} threads", l.model, l.threads);
        let figure = found.as_ref().map(|(ratio, _)| *ratio);
        let peer = found.map_or(String::new(), |(_, engine)| format!("({engine})"));
        ratios.push((l.model.as_str(), figure));
        out.push(bar(name, figure, Side::Below, 1.0, peer));
    }
    for (name, words, bound) in GROUPS {
        let in_group = |model: &str| words.iter().any(|word| model.starts_with(word));
        let of_group: Vec<Option<f64>> =
            ratios.iter().filter(|(model, _)| in_group(model)).map(|(_, ratio)| *ratio).collect();
        if !of_group.is_empty() {
            let name = format!("{name}, geometric mean");
            out.push(bar(name, geometric_mean(&of_group), Side::AtMost, bound, String::new()));
        }
    }
    out
}

/// `None` where one of them is missing.
fn geometric_mean(values: &[Option<f64>]) -> Option<f64> {
    let logarithms: Option<Vec<f64>> = values.iter().map(|v| v.map(f64::ln)).collect();
    Some((logarithms?.iter().sum::<f64>() / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(model: &str, engine: &str, ms: f64, error: f64) -> Latency {
        Latency {
            model: model.into(),
            threads: 1,
            engine: engine.into(),
            rounds_ms: vec![ms, 9.0 * ms, ms],
            max_rel_err: Some(error),
            ..Latency::default()
        }
    }

    #[test]
    fn the_fastest_engine_with_a_right_result_counts() {
        let list = [
            latency("resnet18", OURS, 8.0, 1e-6),
            latency("resnet18", "rten", 10.0, 1e-6),
            latency("resnet18", "tract", 5.0, 0.5),
            latency("resnet18", "onnxruntime", 16.0, 1e-6),
        ];
        assert_eq!(ratio(&list, "resnet18", 1), Some((0.8, "rten".to_string())));
        let bars = bars(&list);
        let figures: Vec<_> = bars.iter().map(|bar| (bar.name.as_str(), bar.passes())).collect();
        let expected = [
            ("resnet18, 1 threads", true),
            ("all models, geometric mean", true),
            ("ResNets, geometric mean", true),
        ];
        assert_eq!(figures, expected);
    }

    #[test]
    fn a_missing_ratio_leaves_no_mean() {
        assert_eq!(geometric_mean(&[Some(2.0), None]), None);
        assert!((geometric_mean(&[Some(2.0), Some(8.0)]).unwrap() - 4.0).abs() < 1e-12);
        let wrong = [latency("resnet18", OURS, 1.0, 0.5), latency("resnet18", "rten", 2.0, 0.0)];
        assert!(bars(&wrong).iter().all(|bar| !bar.passes()));
    }
}
