//! Every pass keeps the values of random graphs: bit for bit where it promises so, otherwise within
//! four times the error that the interpreter itself makes in `f32`.

use tracelift_ir::{
    Graph, interpret,
    testing::{Config, random_graph},
};
use tracelift_passes::{Options, PassManager, pipelines};
use tracelift_tensor::{Scalar, Tensor};

use crate::support::{run, same_scalar};

/// Graphs per pass; the passes share the seeds.
const N_GRAPHS: u64 = 150;

fn config() -> Config {
    Config { max_ops: 25, extents: vec![0, 1, 2, 3, 4, 6], max_elements: 512, ..Config::default() }
}

/// Checks that passes keep every bit, NaN payloads aside.
fn keeps_bits(passes: &[&str]) {
    let mut n_changed = 0;
    for seed in 0..N_GRAPHS {
        let (graph, inputs) = random_graph(seed, &config());
        let (after, report) = run(passes, &graph);
        n_changed += usize::from(report.runs.iter().any(|run| run.changed));
        let (a, b) = (interpret(&graph, &inputs).unwrap(), interpret(&after, &inputs).unwrap());
        for (x, y) in a.iter().zip(&b) {
            assert_eq!((x.shape(), x.dtype()), (y.shape(), y.dtype()), "seed {seed}");
            let wrong = x.iter().zip(y.iter()).find(|(x, y)| !same_scalar(*x, *y));
            assert_eq!(wrong, None, "seed {seed}:\n{graph}\n{after}");
        }
    }
    assert!(n_changed > 10, "only {n_changed} graphs changed");
}

/// Checks that passes stay within tolerance of the interpreter in `f64`.
fn keeps_values(passes: &[&str]) {
    for seed in 0..N_GRAPHS {
        let (graph, inputs) = random_graph(seed, &Config { specials: false, ..config() });
        let Ok(wide) = graph.widened() else { continue };
        let (after, _) = run(passes, &graph);
        let wide_inputs: Vec<Tensor> =
            wide.inputs().zip(&inputs).map(|(v, x)| x.cast(wide.ty(v).dtype)).collect();
        let exact = interpret(&wide, &wide_inputs).unwrap();
        let (a, b) = (interpret(&graph, &inputs).unwrap(), interpret(&after, &inputs).unwrap());
        for ((exact, x), y) in exact.iter().zip(&a).zip(&b) {
            assert_eq!((x.shape(), x.dtype()), (y.shape(), y.dtype()), "seed {seed}");
            let wrong = first_beyond(exact, x, y);
            assert_eq!(wrong, None, "seed {seed}:\n{graph}\n{after}");
        }
    }
}

/// The first element further from the exact one than four times the interpreter's largest error
/// plus 10⁻⁵ of the largest element.
fn first_beyond(exact: &Tensor, x: &Tensor, y: &Tensor) -> Option<(Scalar, Scalar)> {
    let error = |a: Scalar, b: Scalar| (a.to_f64() - b.to_f64()).abs();
    let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
    let worst = exact.iter().zip(x.iter()).map(|(e, x)| finite(error(e, x))).fold(0.0, f64::max);
    let largest = x.iter().map(|x| finite(x.to_f64().abs())).fold(0.0, f64::max);
    let bound = 4.0 * worst + 1e-5 * largest;
    let close = |x: Scalar, y: Scalar| same_scalar(x, y) || error(x, y) <= bound;
    x.iter().zip(y.iter()).find(|(x, y)| !close(*x, *y))
}

#[test]
fn simplify_keeps_bits() {
    keeps_bits(&["simplify"]);
}

#[test]
fn simplify_keeps_bits_of_decomposed_graphs() {
    keeps_bits(&["decompose", "simplify"]);
}

#[test]
fn fold_constants_keeps_bits() {
    keeps_bits(&["decompose", "fold_constants"]);
}

#[test]
fn merge_common_keeps_bits() {
    keeps_bits(&["decompose", "merge_common"]);
}

#[test]
fn decompose_keeps_bits() {
    keeps_bits(&["spell_out", "decompose"]);
}

#[test]
fn exact_passes_come_to_rest_together() {
    let passes = ["decompose", "simplify", "fold_constants", "merge_common", "remove_dead"];
    keeps_bits(&passes);
}

#[test]
fn assign_layouts_keeps_values() {
    keeps_values(&["assign_layouts"]);
}

#[test]
fn recognise_keeps_values() {
    keeps_values(&["spell_out", "simplify", "recognise"]);
}

#[test]
fn the_default_pipeline_keeps_values() {
    keeps_values(pipelines::DEFAULT);
}

#[test]
fn every_number_of_changes_leaves_a_valid_graph() {
    for seed in 0..20 {
        let (graph, _) = random_graph(seed, &config());
        for limit in [1, 3, 10] {
            let mut after: Graph = graph.clone();
            let options = Options { bisect_limit: Some(limit), ..Options::default() };
            PassManager::new(pipelines::DEFAULT, options).unwrap().run(&mut after).unwrap();
        }
    }
}
