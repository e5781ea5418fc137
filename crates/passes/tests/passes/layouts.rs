//! Batch normalisation folds away, and convolutions form channels-last islands.

use crate::support::*;
use tracelift_ir::{
    BatchNorm, Broadcast, Builder, Clamp, Concat, Contract, Conv, ConvLayout, Graph, Literal,
    MaxPool, Mean, Relu, Reshape, Shape, TensorType, Transpose, Value,
};
use tracelift_passes::pipelines;
use tracelift_tensor::{DType, Tensor};

fn unique(b: &Builder<'_>, name: &str) -> String {
    format!("{name}.{}", b.graph().node_count())
}

fn conv(b: &mut Builder<'_>, x: Value, outputs: usize, kernel: usize, stride: usize) -> Value {
    let inputs = b.ty(x).dim(1).as_const().unwrap();
    let seed = (outputs * 31 + kernel) as u64;
    let name = unique(b, "weight");
    let w = b.parameter(&name, noise(&[outputs, inputs, kernel, kernel], seed));
    let op = Conv {
        strides: vec![stride; 2],
        pads: vec![[kernel / 2; 2]; 2],
        dilations: vec![1; 2],
        groups: 1,
        layout: ConvLayout::ChannelsFirst,
    };
    b.op1(op, &[x, w]).unwrap()
}

fn biased(b: &mut Builder<'_>, x: Value, seed: u64) -> Value {
    let channels = b.ty(x).dim(1).as_const().unwrap();
    let name = unique(b, "bias");
    let bias = b.parameter(&name, noise(&[channels], seed));
    let shape = b.shape(x);
    let bias = b.op1(Broadcast { shape, axes: vec![1] }, &[bias]).unwrap();
    b.add(x, bias).unwrap()
}

fn normalised(b: &mut Builder<'_>, x: Value) -> Value {
    let channels = b.ty(x).dim(1).as_const().unwrap();
    let mut operands = vec![x];
    for (k, name) in ["scale", "shift", "mean", "variance"].iter().enumerate() {
        let numbers: Vec<f32> =
            noise(&[channels], k as u64).to_vec::<f32>().iter().map(|x| x.abs() + 0.1).collect();
        let name = unique(b, name);
        operands.push(b.parameter(&name, Tensor::new(&[channels], &numbers)));
    }
    b.op1(BatchNorm { axis: 1, epsilon: Literal::Real(1e-5) }, &operands).unwrap()
}

#[test]
fn batch_norm_after_a_convolution_folds_into_one_bias() {
    let graph = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [1, 3, 6, 6]));
        let mut b = builder(g);
        let y = conv(&mut b, x, 4, 3, 1);
        let y = biased(&mut b, y, 5);
        vec![normalised(&mut b, y)]
    });
    let (after, report) = run(&["fold_batch_norm", "remove_dead"], &graph);
    assert_eq!(names(&after), ["conv", "broadcast", "add"]);
    assert_eq!(report.runs[0].laws["fold_scale"], 1, "the chain is rounded once");
    assert_close(&graph, &after, 1e-6);
    let (spelt, _) = run(&["decompose", "simplify", "fold_constants", "remove_dead"], &graph);
    let (after, _) = run(&["fold_batch_norm", "remove_dead"], &spelt);
    assert_eq!(names(&after), ["conv", "broadcast", "add"]);
    assert_close(&graph, &after, 1e-6);
}

#[test]
fn scales_after_a_contraction_fold() {
    let graph = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [3, 5]));
        let mut b = builder(g);
        let w = b.parameter("w", noise(&[4, 5], 2));
        let y = b.op1(Contract::new("ni, oi -> no"), &[x, w]).unwrap();
        vec![normalised(&mut b, y)]
    });
    let (after, _) = run(&["fold_batch_norm"], &graph);
    assert_eq!(names(&after), ["contract", "broadcast", "add"]);
    assert_close(&graph, &after, 1e-6);
}

#[test]
fn a_value_used_twice_keeps_its_scale() {
    let graph = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [1, 3, 6, 6]));
        let mut b = builder(g);
        let y = conv(&mut b, x, 4, 3, 1);
        vec![y, normalised(&mut b, y)]
    });
    let (after, report) = run(&["fold_batch_norm"], &graph);
    assert!(!report.runs[0].changed);
    assert_eq!(names(&after), ["conv", "batch_norm"]);
}

/// A residual network in small: stem, pool, two blocks, mean, linear.
fn residual() -> Graph {
    graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [2, 3, 16, 16]));
        let mut b = builder(g);
        let y = conv(&mut b, x, 8, 7, 2);
        let y = normalised(&mut b, y);
        let y = b.op1(Relu {}, &[y]).unwrap();
        let pool = MaxPool {
            axes: vec![2, 3],
            kernel: vec![3; 2],
            strides: vec![2; 2],
            pads: vec![[1; 2]; 2],
            dilations: vec![1; 2],
        };
        let mut y = b.op1(pool, &[y]).unwrap();
        for outputs in [8, 12] {
            let short = if outputs == 8 { y } else { conv(&mut b, y, outputs, 1, 1) };
            let z = conv(&mut b, y, outputs, 3, 1);
            let z = normalised(&mut b, z);
            let z =
                b.op1(Clamp { min: Literal::Real(0.0), max: Literal::Real(6.0) }, &[z]).unwrap();
            let z = conv(&mut b, z, outputs, 3, 1);
            let z = biased(&mut b, z, 3);
            let z = b.add(z, short).unwrap();
            y = b.op1(Relu {}, &[z]).unwrap();
        }
        let left = conv(&mut b, y, 4, 1, 1);
        let y = b.op1(Concat { axis: 1 }, &[left, y]).unwrap();
        let y = b.op1(Mean { axes: vec![2, 3] }, &[y]).unwrap();
        let w = b.parameter("head", noise(&[10, 16], 9));
        vec![b.op1(Contract::new("ni, oi -> no"), &[y, w]).unwrap()]
    })
}

#[test]
fn a_residual_network_has_one_transpose_at_the_entry() {
    let graph = residual();
    let (after, report) = run(pipelines::DEFAULT, &graph);
    assert_eq!(count(&after, "transpose"), 1, "{:?}", names(&after));
    assert_eq!(count(&after, "mul"), 0, "scales are folded into weights");
    assert_close(&graph, &after, 1e-5);
    let (again, second) = run(pipelines::DEFAULT, &after);
    assert!(second.runs.iter().all(|run| !run.changed), "{second:?}");
    assert_eq!(names(&again), names(&after));
    assert!(report.runs.iter().any(|run| run.name == "assign_layouts" && run.changed));
}

#[test]
fn a_flattened_island_has_one_transpose_at_the_exit() {
    let graph = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [2, 1, 8, 8]));
        let mut b = builder(g);
        let y = conv(&mut b, x, 4, 3, 1);
        let y = biased(&mut b, y, 4);
        let y = conv(&mut b, y, 4, 3, 1);
        let y = b.op1(Reshape { shape: Shape::from([2, 256]) }, &[y]).unwrap();
        let w = b.parameter("head", noise(&[10, 256], 9));
        vec![b.op1(Contract::new("ni, oi -> no"), &[y, w]).unwrap()]
    });
    let (after, _) = run(pipelines::DEFAULT, &graph);
    // With one input channel the entry is a reshape.
    assert_eq!(count(&after, "transpose"), 1, "{:?}", names(&after));
    assert_close(&graph, &after, 1e-5);
}

#[test]
fn blocks_that_turn_the_channels_last_and_back_stay_in_one_order() {
    let graph = graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [1, 8, 6, 7]));
        let mut b = builder(g);
        let mut y = conv(&mut b, x, 8, 1, 1);
        for seed in 0..2 {
            let z = conv(&mut b, y, 8, 3, 1);
            let last = b.op1(Transpose { perm: vec![0, 2, 3, 1] }, &[z]).unwrap();
            let w = b.parameter(&format!("linear.{seed}"), noise(&[8, 8], seed));
            let z = b.op1(Contract::new("abcd, ed -> abce"), &[last, w]).unwrap();
            let first = b.op1(Transpose { perm: vec![0, 3, 1, 2] }, &[z]).unwrap();
            y = b.add(first, y).unwrap();
        }
        vec![y]
    });
    let (after, _) = run(pipelines::DEFAULT, &graph);
    // One at the entry, one at the exit.
    assert_eq!(count(&after, "transpose"), 2, "{:?}", names(&after));
    let is_turned = |id: &_| after.op_as::<Contract>(*id).is_some_and(|c| c.spec.ends_with("aebc"));
    assert!(!after.topological_order().iter().any(is_turned));
    assert_close(&graph, &after, 1e-5);
}
