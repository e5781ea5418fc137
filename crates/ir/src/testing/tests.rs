//! Tests of the generator, and of the text form, JSON and the verifier over what it makes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{from_json, interpret, parse_graph, text::data_beside, to_dot, to_json, verify};

#[test]
fn a_seed_gives_one_graph() {
    let [(a, x), (b, y)] = [0, 0].map(|_| random_graph(11, &Config::default()));
    assert_eq!(a.to_string(), b.to_string());
    assert_eq!(x, y);
}

#[test]
fn every_operator_occurs() {
    let mut missing: BTreeSet<&str> = Op::ALL.iter().map(|(name, ..)| *name).collect();
    let mut n_ops = 0;
    for seed in 0..600 {
        let (graph, _) = random_graph(seed, &Config::default());
        for op in graph.nodes().into_iter().filter_map(|id| graph.op(id)) {
            missing.remove(op.syntax().name());
            n_ops += 1;
        }
    }
    assert!(missing.is_empty(), "no graph has {missing:?}; they need a row in RECIPES");
    assert!(n_ops > 600 * 4, "{n_ops} operators in 600 graphs");
}

#[test]
fn every_recipe_serves_an_operator() {
    let known: BTreeSet<&str> = Op::ALL.iter().map(|(name, ..)| *name).collect();
    for (name, _) in recipes::RECIPES {
        assert!(known.contains(name), "no operator {name}");
    }
}

#[test]
fn every_dtype_occurs_and_empty_tensors_do() {
    let mut missing: BTreeSet<DType> = DType::ALL.into_iter().collect();
    let mut n_empty = 0;
    for seed in 0..200 {
        let (_, inputs) = random_graph(seed, &Config::default());
        for input in inputs {
            missing.remove(&input.dtype());
            n_empty += usize::from(input.count() == 0);
        }
    }
    assert!(missing.is_empty() && n_empty > 5, "missing {missing:?}, {n_empty} empty");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn text_reads_back(seed: u64) {
        let (graph, _) = random_graph(seed, &Config::default());
        prop_assert_eq!(verify(&graph), Ok(()));
        let beside: BTreeMap<String, Tensor> = data_beside(&graph).into_iter().collect();
        let mut data = |name: &str| beside.get(name).cloned();
        let text = graph.to_string();
        let back = parse_graph(&text, &mut data);
        let back = back.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        prop_assert!(back.same_as(&graph), "{}", text);
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn json_reads_back(seed: u64) {
        let (graph, _) = random_graph(seed, &Config::default());
        let beside: BTreeMap<String, Tensor> = data_beside(&graph).into_iter().collect();
        let mut data = |name: &str| beside.get(name).cloned();
        let json = to_json(&graph);
        let back = from_json(&json, &mut data).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(back.same_as(&graph), "{}", json);
        prop_assert_eq!(to_json(&back), json);
        prop_assert!(to_dot(&graph).starts_with("digraph"));
    }

    #[test]
    fn the_interpreter_gives_the_declared_types(seed: u64) {
        let config = Config { max_elements: 512, max_products: 5_000, ..Config::default() };
        let (graph, inputs) = random_graph(seed, &config);
        let results = interpret(&graph, &inputs).unwrap();
        for (declared, tensor) in graph.results().iter().zip(&results) {
            let found = TensorType::new(tensor.dtype(), tensor.shape());
            prop_assert_eq!(graph.ty(declared.value), &found);
        }
    }
}
