//! Constants computed by an evaluator.

use crate::support::*;
use tracelift_ir::{Graph, Provenance, TensorType, Value, interpret};
use tracelift_passes::{Evaluator, Options, PassManager, pipelines};
use tracelift_tensor::{DType, Scalar};

/// Runs the default pipeline with the reference interpreter to compute constants.
fn computed(graph: &Graph, options: Options) -> Graph {
    let mut out = graph.clone();
    let evaluator = Evaluator::new(|graph| interpret(graph, &[]).ok());
    let options = Options { check_each: true, check_changes: true, ..options };
    let manager = PassManager::new(pipelines::DEFAULT, options).unwrap();
    manager.with_evaluator(evaluator).run(&mut out).unwrap();
    out
}

/// `x · (a · b)` where `a` has so many rows and columns.
fn product(rows: usize, shared: usize, columns: usize) -> Graph {
    graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [3, rows]));
        let mut b = builder(g);
        b.set_provenance(Provenance::at("model.rs:1", ""));
        let weight = b.parameter("a", noise(&[rows, shared], 1));
        b.set_provenance(Provenance::at("model.rs:2", ""));
        let other = b.parameter("b", noise(&[shared, columns], 2));
        let both = b.matmul(weight, other).unwrap();
        let turned = b.transpose(both, &[1, 0]).unwrap();
        vec![b.contract(x, turned, "ik,jk->ij").unwrap()]
    })
}

fn stored(graph: &Graph, value: Value) -> bool {
    graph.constant(value).is_some()
}

#[test]
fn products_of_weights_are_computed_and_what_moves_them_folded() {
    let before = product(80, 70, 80);
    let after = computed(&before, Options::default());
    assert_eq!(count(&after, "contract"), 1);
    let result = after.results()[0].value.node;
    assert!(stored(&after, after.operands(result)[1]), "{after}");
    assert_close(&before, &after, 1e-6);
    // The constant says where it came from.
    let constant = after.operands(result)[1].node;
    let from = &after.node(constant).provenance;
    assert_eq!(from.origins().len(), 2, "{from:?}");
}

#[test]
fn what_would_be_large_beside_its_constants_is_left() {
    let after = computed(&product(1200, 1, 1200), Options::default());
    assert_eq!(count(&after, "contract"), 2);
}

#[test]
fn constants_used_inside_and_outside_are_computed_once() {
    let before = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [3, 80]));
        let mut b = builder(g);
        let w = b.parameter("w", noise(&[80, 80], 1));
        let square = b.matmul(w, w).unwrap();
        let cube = b.matmul(square, w).unwrap();
        let [y, z] = [square, cube].map(|m| b.matmul(x, m).unwrap());
        vec![b.add(y, z).unwrap()]
    });
    let after = computed(&before, Options::default());
    assert_eq!(count(&after, "contract"), 2, "{after}");
    assert_close(&before, &after, 1e-6);
}

#[test]
fn long_chains_that_are_left_are_walked_once() {
    let before = graph_of(|g| {
        let mut b = builder(g);
        let mut y = b.splat(Scalar::F32(1.0), [2]);
        for _ in 0..50_000 {
            y = b.neg(y).unwrap();
        }
        vec![y]
    });
    let evaluator = Evaluator::new(|_| panic!("nothing is stored, so nothing is computed"));
    let manager = PassManager::new(&["compute_constants"], Options::default()).unwrap();
    let report = manager.with_evaluator(evaluator).run(&mut before.clone()).unwrap();
    assert!(!report.runs[0].changed);
}

#[test]
fn changes_are_counted() {
    let options = Options { bisect_limit: Some(0), ..Options::default() };
    assert_eq!(count(&computed(&product(80, 70, 80), options), "contract"), 2);
}
