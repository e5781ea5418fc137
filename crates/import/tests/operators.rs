//! Imported operators against ONNX Runtime: the cases of `data/operators.npz`, which
//! `data/make_operators.py` makes.

use std::{collections::BTreeMap, path::Path};

use tracelift_import::{ImportOptions, import_onnx_bytes};
use tracelift_ir::interpret;
use tracelift_tensor::{Tensor, npz::read_npz};

/// The largest difference of a float, beside the same fraction of its size.
const TOLERANCE: f64 = 2e-6;

fn cases() -> BTreeMap<String, BTreeMap<String, Tensor>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/operators.npz");
    let mut cases: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (key, tensor) in read_npz(&path).unwrap() {
        let (case, part) = key.split_once('.').unwrap();
        cases.entry(case.to_string()).or_default().insert(part.to_string(), tensor);
    }
    cases
}

/// The tensors `in_0, in_1, …` or `out_0, out_1, …` of a case.
fn numbered(case: &BTreeMap<String, Tensor>, prefix: &str) -> Vec<Tensor> {
    (0..).map_while(|k| case.get(&format!("{prefix}_{k}")).cloned()).collect()
}

fn differs(found: &Tensor, expected: &Tensor) -> bool {
    let close = |f: f64, e: f64| {
        f == e || f.is_nan() && e.is_nan() || (f - e).abs() <= TOLERANCE * (1.0 + e.abs())
    };
    let mut pairs = found.iter().zip(expected.iter());
    (found.dtype(), found.shape()) != (expected.dtype(), expected.shape())
        || pairs.any(|(f, e)| !close(f.to_f64(), e.to_f64()))
}

#[test]
fn operators_agree_with_onnx_runtime() {
    let mut problems = Vec::new();
    let cases = cases();
    assert!(cases.len() > 70, "the data hold {} cases", cases.len());
    for (name, case) in &cases {
        let bytes = case["model"].bytes().clone();
        let graph = match import_onnx_bytes(bytes, Path::new(name), &ImportOptions::default()) {
            Ok(graph) => graph,
            Err(error) => {
                problems.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found = interpret(&graph, &numbered(case, "in")).unwrap();
        let expected = numbered(case, "out");
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            if differs(found, expected) {
                problems.push(format!("{name}: found {found:?}, expected {expected:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
