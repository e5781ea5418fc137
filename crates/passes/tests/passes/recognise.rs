//! Composites are found where exporters spell them out.

use crate::support::*;
use tracelift_ir::{
    Broadcast, Div, Erf, Graph, IsNan, Mean, Mul, Pow, Reduce, ReduceKind, Reshape, Softmax, Sqrt,
    Tanh, TensorType, Transpose, Value,
};
use tracelift_tensor::DType;

const PASSES: &[&str] = &["spell_out", "simplify", "fold_constants", "recognise", "remove_dead"];

fn input(graph: &mut Graph, name: &str, shape: &[usize]) -> Value {
    graph.add_input(name, TensorType::new(DType::F32, shape))
}

fn check(graph: &Graph, expected: &[&str]) {
    let (after, _) = run(PASSES, graph);
    assert_eq!(names(&after), expected);
    assert_close(graph, &after, 2e-6);
    let (decomposed, _) = run(&["decompose", "simplify", "remove_dead"], &after);
    assert_close(graph, &decomposed, 2e-6);
    let (again, report) = run(&["recognise"], &after);
    assert!(!report.runs[0].changed && again.node_count() == after.node_count());
}

/// `x · (½ · (erf(x / √2) + 1))`, as torch.onnx writes it from version 2.5 on.
#[test]
fn gelu_of_the_dynamo_exporter() {
    let graph = graph_of(|g| {
        let x = input(g, "x", &[2, 8]);
        let mut b = builder(g);
        let scaled = b.map_scalar(Div {}, x, 1.414_213_538_169_860_8).unwrap();
        let erf = b.op1(Erf {}, &[scaled]).unwrap();
        let one = b.splat_like(x, 1.0);
        let sum = b.add(erf, one).unwrap();
        let half = b.splat_like(x, 0.5);
        let sum = b.mul(half, sum).unwrap();
        vec![b.mul(x, sum).unwrap()]
    });
    check(&graph, &["gelu"]);
}

/// `(x · (erf(x / √2) + 1)) · ½`, as TorchScript exports write it.
#[test]
fn gelu_of_torchscript() {
    let graph = graph_of(|g| {
        let x = input(g, "x", &[2, 8]);
        let mut b = builder(g);
        let scaled = b.map_scalar(Div {}, x, 1.414_213_538_169_860_8).unwrap();
        let erf = b.op1(Erf {}, &[scaled]).unwrap();
        let one = b.splat_like(x, 1.0);
        let sum = b.add(erf, one).unwrap();
        let y = b.mul(x, sum).unwrap();
        vec![b.map_scalar(Mul {}, y, 0.5).unwrap()]
    });
    check(&graph, &["gelu"]);
}

fn tanh_gelu(factor: f64) -> Graph {
    graph_of(|g| {
        let x = input(g, "x", &[2, 8]);
        let mut b = builder(g);
        let half = b.map_scalar(Mul {}, x, 0.5).unwrap();
        let cube = b.map_scalar(Pow {}, x, 3.0).unwrap();
        let bent = b.map_scalar(Mul {}, cube, factor).unwrap();
        let sum = b.add(x, bent).unwrap();
        let scaled = b.map_scalar(Mul {}, sum, 0.797_884_583_473_205_6).unwrap();
        let tanh = b.op1(Tanh {}, &[scaled]).unwrap();
        let one = b.splat_like(x, 1.0);
        let sum = b.add(tanh, one).unwrap();
        vec![b.mul(half, sum).unwrap()]
    })
}

#[test]
fn gelu_by_tanh_as_gpt2_has_it() {
    check(&tanh_gelu(0.044_714_998_453_855_515), &["gelu"]);
}

#[test]
fn another_constant_is_no_gelu() {
    let (after, _) = run(PASSES, &tanh_gelu(0.05));
    assert_eq!(count(&after, "gelu"), 0);
}

#[test]
fn silu_and_sigmoid() {
    let graph = graph_of(|g| {
        let x = input(g, "x", &[2, 8]);
        let mut b = builder(g);
        let negative = b.neg(x).unwrap();
        let power = b.exp(negative).unwrap();
        let one = b.splat_like(x, 1.0);
        let total = b.add(power, one).unwrap();
        let gate = b.div(one, total).unwrap();
        vec![gate, b.mul(x, gate).unwrap(), b.div(x, total).unwrap()]
    });
    check(&graph, &["sigmoid", "silu", "silu"]);
}

fn row_parameter(b: &mut tracelift_ir::Builder<'_>, name: &str, x: Value) -> Value {
    let shape = b.shape(x);
    let width = shape[shape.rank() - 1].as_const().unwrap();
    let parameter = b.parameter(name, noise(&[width], 7));
    b.broadcast_to(parameter, &shape).unwrap()
}

fn spread(b: &mut tracelift_ir::Builder<'_>, kept: Value, x: Value) -> Value {
    let mut shape = b.shape(x);
    shape.0[2] = 1.into();
    let kept = b.op1(Reshape { shape }, &[kept]).unwrap();
    let shape = b.shape(x);
    b.op1(Broadcast { shape, axes: vec![0, 1, 2] }, &[kept]).unwrap()
}

/// ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add: opset 16 and older.
#[test]
fn layer_norm_in_nine_operators() {
    let graph = graph_of(|g| {
        let x = input(g, "x", &[2, 3, 8]);
        let mut b = builder(g);
        let mean = b.op1(Mean { axes: vec![2] }, &[x]).unwrap();
        let mean = spread(&mut b, mean, x);
        let centred = b.sub(x, mean).unwrap();
        let squares = b.map_scalar(Pow {}, centred, 2.0).unwrap();
        let variance = b.op1(Mean { axes: vec![2] }, &[squares]).unwrap();
        let shape = tracelift_ir::Shape::from([2, 3, 1]);
        let variance = b.op1(Reshape { shape }, &[variance]).unwrap();
        let shifted = b.map_scalar(tracelift_ir::Add {}, variance, 1e-5).unwrap();
        let root = b.op1(Sqrt {}, &[shifted]).unwrap();
        let y = b.div(centred, root).unwrap();
        let scale = row_parameter(&mut b, "weight", x);
        let bias = row_parameter(&mut b, "bias", x);
        let y = b.mul(y, scale).unwrap();
        vec![b.add(y, bias).unwrap()]
    });
    check(&graph, &["layer_norm"]);
}

/// Pow, ReduceMean, Add, Sqrt, Reciprocal, Mul, Mul: LLaMA and its kin.
#[test]
fn rms_norm_in_seven_operators() {
    check(&rms_norm(8.0), &["rms_norm"]);
}

#[test]
fn a_sum_divided_by_another_number_is_no_mean() {
    let graph = rms_norm(7.0);
    let (after, _) = run(PASSES, &graph);
    assert_eq!(count(&after, "rms_norm"), 0);
    assert_close(&graph, &after, 2e-6);
}

/// A root mean square over 8 elements, if `divisor` is 8.
fn rms_norm(divisor: f64) -> Graph {
    graph_of(|g| {
        let x = input(g, "x", &[2, 3, 8]);
        let mut b = builder(g);
        let squares = b.map_scalar(Pow {}, x, 2.0).unwrap();
        let sum = b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![2] }, &[squares]).unwrap();
        let mean = b.map_scalar(Div {}, sum, divisor).unwrap();
        let shape = tracelift_ir::Shape::from([2, 3, 1]);
        let mean = b.op1(Reshape { shape }, &[mean]).unwrap();
        let shifted = b.map_scalar(tracelift_ir::Add {}, mean, 1e-6).unwrap();
        let root = b.op1(Sqrt {}, &[shifted]).unwrap();
        let one = b.splat_like(root, 1.0);
        let inverse = b.div(one, root).unwrap();
        let y = b.mul(x, inverse).unwrap();
        let scale = row_parameter(&mut b, "weight", x);
        vec![b.mul(scale, y).unwrap()]
    })
}

#[test]
fn softmax_in_five_operators() {
    let graph = graph_of(|g| {
        let x = input(g, "x", &[2, 3, 8]);
        let mut b = builder(g);
        let maximum = b.op1(Reduce { kind: ReduceKind::Max, axes: vec![2] }, &[x]).unwrap();
        let maximum = spread(&mut b, maximum, x);
        let shifted = b.sub(x, maximum).unwrap();
        let powers = b.exp(shifted).unwrap();
        let total = b.op1(Reduce { kind: ReduceKind::Sum, axes: vec![2] }, &[powers]).unwrap();
        let total = spread(&mut b, total, x);
        vec![b.div(powers, total).unwrap()]
    });
    check(&graph, &["softmax"]);
}

/// Scaled queries and keys, a mask, a guarded softmax: what torch.onnx 2.15 writes for BERT.
fn bert_attention(guarded: bool) -> Graph {
    graph_of(|g| {
        let shape = [1, 5, 2, 4];
        let [q, k, v] = ["q", "k", "v"].map(|name| input(g, name, &shape));
        let seen = g.add_input("seen", TensorType::new(DType::Bool, [1, 1, 5, 5]));
        let mut b = builder(g);
        let heads = |b: &mut tracelift_ir::Builder<'_>, x| {
            b.op1(Transpose { perm: vec![0, 2, 1, 3] }, &[x]).unwrap()
        };
        let [q, k, v] = [q, k, v].map(|x| heads(&mut b, x));
        let flat = tracelift_ir::Shape::from([2, 5, 4]);
        let k = b.op1(Reshape { shape: flat }, &[k]).unwrap();
        let k = b.op1(Transpose { perm: vec![0, 2, 1] }, &[k]).unwrap();
        let shape = tracelift_ir::Shape::from([1, 2, 4, 5]);
        let k = b.op1(Reshape { shape }, &[k]).unwrap();
        let q = b.map_scalar(Mul {}, q, 0.707_106_769_084_930_4).unwrap();
        let k = b.map_scalar(Mul {}, k, 0.707_106_769_084_930_4).unwrap();
        let logits = b.op1(tracelift_ir::Matmul {}, &[q, k]).unwrap();
        let (zero, lowest) = (b.splat_like(logits, 0.0), b.splat_like(logits, f32::MIN.into()));
        let mask = b.select(seen, zero, lowest).unwrap();
        let logits = b.add(logits, mask).unwrap();
        let p = b.op1(Softmax { axis: 3 }, &[logits]).unwrap();
        let nan = b.op1(IsNan {}, &[p]).unwrap();
        let p = if guarded { b.select(nan, zero, p).unwrap() } else { p };
        let y = b.op1(tracelift_ir::Matmul {}, &[p, v]).unwrap();
        vec![b.op1(Transpose { perm: vec![0, 2, 1, 3] }, &[y]).unwrap()]
    })
}

#[test]
fn attention_of_the_dynamo_exporter() {
    for guarded in [false, true] {
        let graph = bert_attention(guarded);
        let (after, _) = run(PASSES, &graph);
        assert_eq!(count(&after, "attention"), 1, "{:?}", names(&after));
        assert_eq!(count(&after, "softmax"), 0);
        assert_close(&graph, &after, 2e-6);
        let (decomposed, _) = run(&["decompose", "simplify", "remove_dead"], &after);
        assert_eq!(count(&decomposed, "transpose"), 0, "contractions take any order");
        assert_close(&graph, &decomposed, 2e-6);
    }
}

#[test]
fn a_mask_that_may_hide_whole_rows_is_left_alone() {
    let graph = graph_of(|g| {
        let [q, k, v, mask] = ["q", "k", "v", "mask"].map(|name| input(g, name, &[1, 2, 4, 4]));
        let mut b = builder(g);
        let logits = b.op1(tracelift_ir::Contract::new("bhtd, bhsd -> bhts"), &[q, k]).unwrap();
        let logits = b.add(logits, mask).unwrap();
        let p = b.op1(Softmax { axis: 3 }, &[logits]).unwrap();
        vec![b.op1(tracelift_ir::Contract::new("bhts, bhse -> bhte"), &[p, v]).unwrap()]
    });
    let (after, _) = run(PASSES, &graph);
    assert_eq!(names(&after), ["contract", "add", "softmax", "contract"]);
}
