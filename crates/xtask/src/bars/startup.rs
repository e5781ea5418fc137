//! From a file to the first result in a fresh process on one thread, and the memory that takes.

use std::{collections::BTreeMap, fs::File, io};

use tracelift_bench::models::file;

use super::{
    Bars,
    bar::{Bar, Side},
    engine::{OURS, Worker},
    median,
    results::Startup,
    say,
};

/// The seconds that the small CNN may take.
const SMALL_CNN_SECONDS: f64 = 0.02;

/// Starts every engine on every model some times, in turn.
///
/// # Errors
/// When this project's engine fails; others are left out where they do.
pub fn measure(
    bars: &Bars,
    models: &[String],
    versions: &mut BTreeMap<String, String>,
) -> anyhow::Result<Vec<Startup>> {
    let mut out = Vec::new();
    for model in models {
        let engines = [OURS].into_iter().chain(bars.engines.iter().map(String::as_str));
        let mut of_model: Vec<Startup> = engines
            .map(|engine| Startup {
                model: model.clone(),
                engine: engine.to_string(),
                ..Startup::default()
            })
            .collect();
        into_cache(model)?;
        for _ in 0..bars.rounds {
            for startup in &mut of_model {
                match once(startup, versions) {
                    Err(error) if startup.engine == OURS => return Err(error),
                    Err(error) => say(&format!("{model}, {}: {error}", startup.engine)),
                    Ok(()) => {}
                }
            }
        }
        for startup in &of_model {
            let seconds = median(&startup.to_first_s).unwrap_or(f64::NAN);
            let mib = median(&startup.peak_rss_mb).unwrap_or(f64::NAN);
            say(&format!("{model}, {}: {seconds:.3} s, {mib:.0} MiB", startup.engine));
        }
        out.extend(of_model);
    }
    Ok(out)
}

fn once(startup: &mut Startup, versions: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let worker = Worker::start(&crate::root(), &startup.engine, &startup.model, 1)?;
    if let Some(version) = worker.loaded["version"].as_str() {
        versions.insert(startup.engine.clone(), version.to_string());
    }
    let seconds = worker.loaded["to_first_s"].as_f64();
    let mib = worker.finish()?["peak_rss_mb"].as_f64();
    startup.to_first_s.extend(seconds);
    startup.peak_rss_mb.extend(mib);
    Ok(())
}

/// Reads a model's files, so that no engine waits for the disk.
fn into_cache(model: &str) -> anyhow::Result<()> {
    for ending in ["onnx", "npz"] {
        io::copy(&mut File::open(file(model, ending))?, &mut io::sink())?;
    }
    Ok(())
}

/// The bars of start-up and of memory.
pub fn bars(list: &[Startup]) -> Vec<Bar> {
    let mut out = Vec::new();
    for ours in list.iter().filter(|s| s.engine == OURS) {
        let others: Vec<&Startup> =
            list.iter().filter(|s| s.model == ours.model && s.engine != OURS).collect();
        out.extend(start_bars(ours, &others));
    }
    for ours in list.iter().filter(|s| s.engine == OURS) {
        let others = list.iter().filter(|s| s.model == ours.model && s.engine != OURS);
        let smallest = least(others.filter_map(|s| Some((median(&s.peak_rss_mb)?, &*s.engine))));
        out.push(Bar {
            group: "memory",
            name: ours.model.clone(),
            figure: median(&ours.peak_rss_mb),
            side: Side::AtMost,
            bound: smallest.map_or(f64::NAN, |(mib, _)| mib),
            unit: "MiB",
            note: smallest.map_or(String::new(), |(_, engine)| format!("({engine})")),
        });
    }
    out
}

fn start_bars(ours: &Startup, others: &[&Startup]) -> Vec<Bar> {
    let seconds = median(&ours.to_first_s);
    let bar = |bound: f64, note: &str| Bar {
        group: "start-up",
        name: ours.model.clone(),
        figure: seconds,
        side: Side::AtMost,
        bound,
        unit: "s",
        note: note.to_string(),
    };
    let times = || others.iter().filter_map(|s| Some((median(&s.to_first_s)?, &*s.engine)));
    let onnx_runtime = times().find(|(_, engine)| *engine == "onnxruntime");
    let onnx_runtime = onnx_runtime.map_or(f64::NAN, |(seconds, _)| seconds);
    if ours.model.starts_with("small_cnn") {
        return vec![bar(SMALL_CNN_SECONDS, "")];
    }
    if ours.model.starts_with("mobilenet") || ours.model.starts_with("squeezenet") {
        return vec![bar(onnx_runtime, "(onnxruntime)")];
    }
    let (fastest, engine) = least(times()).unwrap_or((f64::NAN, "no peer"));
    vec![bar(0.5 * onnx_runtime, "(half of onnxruntime)"), bar(fastest, &format!("({engine})"))]
}

fn least<'n>(values: impl Iterator<Item = (f64, &'n str)>) -> Option<(f64, &'n str)> {
    values.min_by(|a, b| a.0.total_cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(model: &str, engine: &str, seconds: f64, mib: f64) -> Startup {
        Startup {
            model: model.into(),
            engine: engine.into(),
            to_first_s: vec![seconds],
            peak_rss_mb: vec![mib],
        }
    }

    #[test]
    fn each_model_has_the_bounds_of_its_kind() {
        let list = [
            startup("resnet50", OURS, 0.2, 100.0),
            startup("resnet50", "onnxruntime", 0.5, 150.0),
            startup("resnet50", "rten", 0.18, 130.0),
            startup("mobilenet_v2", OURS, 0.1, 60.0),
            startup("mobilenet_v2", "onnxruntime", 0.1, 50.0),
            startup("small_cnn_b1", OURS, 0.03, 10.0),
        ];
        let found = bars(&list);
        let found: Vec<(f64, bool)> = found.iter().map(|bar| (bar.bound, bar.passes())).collect();
        let expected =
            [(0.25, true), (0.18, false), (0.1, true), (0.02, false), (130.0, true), (50.0, false)];
        assert_eq!(found[..6], expected);
        // Without a peer there is no bound, and no pass.
        assert!(found[6].0.is_nan() && !found[6].1);
    }
}
