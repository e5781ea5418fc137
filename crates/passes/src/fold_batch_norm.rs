//! Folds scales and shifts per channel into the weights before them.
//!
//! A batch normalisation, or multiplications and additions of constants per channel, that follow a
//! convolution or contraction with constant weights become a change of the weights and one
//! addition. The factors are combined in `f64` and rounded once.

use tracelift_ir::{
    BatchNorm, Broadcast, Builder, Contract, Conv, ConvLayout, Graph, NodeId, TypeError, Value,
};
use tracelift_scalar::Op as ScalarOp;
use tracelift_tensor::{DType, Tensor};

use crate::{
    Changed, Law, Pass, PassCx, PassError, Rewrite,
    matching::{elementwise, made_by, only_result},
    rewrite_to_fixpoint,
};

/// The pass `fold_batch_norm`.
pub struct FoldBatchNorm;

const LAWS: &[(&str, Law)] = &[("fold_scale", fold_scale)];

/// How far up a chain of steps is followed; it keeps the pass linear.
const MOST_STEPS: usize = 16;

/// `y = x · scale + shift` per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    fn nothing(n: usize) -> Affine {
        Affine { scale: vec![1.0; n], shift: vec![0.0; n] }
    }

    /// This one after `first`.
    fn after(&self, first: &Affine) -> Affine {
        let scale = self.scale.iter().zip(&first.scale).map(|(a, b)| a * b).collect();
        let moved = first.shift.iter().zip(&self.scale).map(|(b, a)| a * b);
        Affine { scale, shift: moved.zip(&self.shift).map(|(b, c)| b + c).collect() }
    }
}

/// The axis of channels of a value.
#[derive(Clone, Copy)]
struct Channels {
    axis: usize,
    n: usize,
}

/// One number per channel, where a value is constant along all other axes.
fn per_channel(graph: &Graph, value: Value, channels: Channels) -> Option<Vec<f64>> {
    if let Some(scalar) = graph.splat(value) {
        return Some(vec![scalar.to_f64(); channels.n]);
    }
    let (op, x) = made_by::<Broadcast>(graph, value)?;
    let along = op.axes == [channels.axis] && *graph.ty(x[0]).dim(0) == channels.n;
    if !along { None } else { numbers(graph, x[0]) }
}

fn numbers(graph: &Graph, value: Value) -> Option<Vec<f64>> {
    graph.constant_tensor(value).map(|tensor| tensor.to_vec::<f64>())
}

/// What a node does to one of its operands per channel, where that is all it does.
fn step(graph: &Graph, node: NodeId, channels: Channels) -> Option<(Value, Affine)> {
    if let Some(op) = graph.op_as::<BatchNorm>(node) {
        return (op.axis == channels.axis).then(|| batch_norm_step(graph, node, op)).flatten();
    }
    let (op, operands) = elementwise(graph, node)?;
    let &[x, y] = operands.as_slice() else { return None };
    let nothing = Affine::nothing(channels.n);
    let shift_of = |c| Affine { shift: c, ..Affine::nothing(channels.n) };
    let scale_of = |c| Affine { scale: c, ..Affine::nothing(channels.n) };
    let negated = |c: Vec<f64>| c.into_iter().map(|c| -c).collect();
    match (op, per_channel(graph, x, channels), per_channel(graph, y, channels)) {
        (ScalarOp::Add, None, Some(c)) => Some((x, shift_of(c))),
        (ScalarOp::Add, Some(c), None) => Some((y, shift_of(c))),
        (ScalarOp::Sub, None, Some(c)) => Some((x, shift_of(negated(c)))),
        (ScalarOp::Sub, Some(c), None) => {
            Some((y, Affine { scale: negated(nothing.scale), shift: c }))
        }
        (ScalarOp::Mul, None, Some(c)) => Some((x, scale_of(c))),
        (ScalarOp::Mul, Some(c), None) => Some((y, scale_of(c))),
        (ScalarOp::Div, None, Some(c)) => {
            Some((x, scale_of(c.into_iter().map(|c| 1.0 / c).collect())))
        }
        _ => None,
    }
}

fn batch_norm_step(graph: &Graph, node: NodeId, op: &BatchNorm) -> Option<(Value, Affine)> {
    let operands = graph.operands(node);
    let constants: Vec<Vec<f64>> =
        operands[1..].iter().map(|v| numbers(graph, *v)).collect::<Option<_>>()?;
    let [scale, bias, mean, variance] = constants.as_slice() else { return None };
    let epsilon = op.epsilon.to_scalar(graph.ty(operands[0]).dtype).to_f64();
    let factor: Vec<f64> =
        scale.iter().zip(variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let moved = mean.iter().zip(&factor).map(|(m, f)| m * f);
    let shift = bias.iter().zip(moved).map(|(b, m)| b - m).collect();
    Some((operands[0], Affine { scale: factor, shift }))
}

/// The weights of an operator and their axis that gives the channels of its result.
struct Weights {
    operand: usize,
    axis: usize,
}

/// The operator's weights along each axis of its result that they alone give.
fn weights(graph: &Graph, node: NodeId) -> Vec<(usize, Weights)> {
    if let Some(conv) = graph.op_as::<Conv>(node) {
        let last = graph.node(node).types[0].rank() - 1;
        return vec![match conv.layout {
            ConvLayout::ChannelsFirst => (1, Weights { operand: 1, axis: 0 }),
            ConvLayout::ChannelsLast => (last, Weights { operand: 1, axis: last }),
        }];
    }
    let letters = graph.op_as::<Contract>(node).and_then(|op| op.letters().ok());
    let Some(letters) = letters else { return Vec::new() };
    let mut found = Vec::new();
    for (result_axis, letter) in letters.result.iter().enumerate() {
        let place = |k: usize| letters.operands[k].iter().position(|c| c == letter);
        match (place(0), place(1)) {
            (Some(axis), None) => found.push((result_axis, Weights { operand: 0, axis })),
            (None, Some(axis)) => found.push((result_axis, Weights { operand: 1, axis })),
            _ => {}
        }
    }
    found
}

/// `f(x, w) · s + t = f(x, w · s) + t` per channel, for constant `w`, `s`, `t`, where `f` is linear
/// and the channels are those of `w`; several such steps become one.
fn fold_scale(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    // The chain of steps ends at the operator with weights; it has no other users on the way.
    let root = chain_root(graph, node)?;
    let (channel_axis, place) = weights(graph, root)
        .into_iter()
        .find(|(_, place)| graph.constant(graph.operands(root)[place.operand]).is_some())?;
    let ty = &graph.node(root).types[0];
    let channels = Channels { axis: channel_axis, n: ty.dim(channel_axis).as_const()? };
    let (total, n_steps) = total_step(graph, node, root, channels)?;
    let scaled = total.scale.iter().any(|&s| s != 1.0);
    if !ty.dtype.is_float() || !is_last_step(graph, node, channels) || !(scaled || n_steps > 1) {
        return None;
    }
    let mut operands = graph.operands(root);
    let weight = graph.constant_tensor(operands[place.operand])?;
    let op = graph.op(root)?.clone();
    let from = graph.node(operands[place.operand].node).provenance.clone();
    let dtype = ty.dtype;
    Some(Rewrite::build1(node, move |b| {
        if scaled {
            let w = b.constant(scaled_along(&weight, place.axis, &total.scale));
            b.graph_mut().add_provenance(w.node, &from);
            operands[place.operand] = w;
        }
        let y = b.op1(op, &operands)?;
        shifted(b, y, channels, &total.shift, dtype)
    }))
}

/// The first node above a chain of elementwise steps and batch normalisations that is neither.
fn chain_root(graph: &Graph, node: NodeId) -> Option<NodeId> {
    let mut at = node;
    for _ in 0..MOST_STEPS {
        let operands = graph.operands(at);
        let is_step = graph.op_as::<BatchNorm>(at).is_some() || elementwise(graph, at).is_some();
        if !is_step {
            return (at != node).then_some(at);
        }
        let inner = |v: &Value| {
            graph.op(v.node).is_some()
                && graph.op_as::<Broadcast>(v.node).is_none()
                && graph.use_count(*v) == 1
        };
        let mut inner = operands.iter().filter(|v| inner(v));
        at = match (inner.next(), inner.next()) {
            (Some(one), None) => one.node,
            _ => return None,
        };
    }
    None
}

/// All steps from the root to the node as one, and their number.
fn total_step(
    graph: &Graph,
    node: NodeId,
    root: NodeId,
    channels: Channels,
) -> Option<(Affine, usize)> {
    let (mut at, mut total, mut n_steps) = (node, Affine::nothing(channels.n), 0);
    while at != root {
        let (x, affine) = step(graph, at, channels)?;
        total = total.after(&affine);
        (at, n_steps) = (x.node, n_steps + 1);
    }
    Some((total, n_steps))
}

/// Whether no further step follows, so that the whole chain is rounded once.
fn is_last_step(graph: &Graph, node: NodeId, channels: Channels) -> bool {
    let Some(value) = only_result(graph, node) else { return false };
    match graph.users(value).as_slice() {
        [(user, _)] if graph.use_count(value) == 1 => step(graph, *user, channels).is_none(),
        _ => true,
    }
}

/// The weights with slice `k` along an axis multiplied by factor `k`.
fn scaled_along(weight: &Tensor, axis: usize, scale: &[f64]) -> Tensor {
    let inner: usize = weight.shape()[axis + 1..].iter().product();
    let factors = (0..weight.count()).map(|k| scale[k / inner.max(1) % scale.len().max(1)]);
    if weight.dtype() == DType::F32 {
        let old = weight.to_vec::<f32>();
        let new: Vec<f32> =
            old.into_iter().zip(factors).map(|(w, s)| (f64::from(w) * s) as f32).collect();
        return Tensor::new(weight.shape(), &new);
    }
    let new: Vec<f64> =
        weight.to_vec::<f64>().into_iter().zip(factors).map(|(w, s)| w * s).collect();
    Tensor::new(weight.shape(), &new)
}

/// `y + shift` per channel.
fn shifted(
    b: &mut Builder<'_>,
    y: Value,
    channels: Channels,
    shift: &[f64],
    dtype: DType,
) -> Result<Value, TypeError> {
    if shift.iter().all(|&s| s == 0.0) {
        return Ok(y);
    }
    let shift = b.constant(Tensor::new(&[shift.len()], shift).cast(dtype));
    let shape = b.shape(y);
    let shift = b.op1(Broadcast { shape, axes: vec![channels.axis] }, &[shift])?;
    b.add(y, shift)
}

impl Pass for FoldBatchNorm {
    fn name(&self) -> &'static str {
        "fold_batch_norm"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        rewrite_to_fixpoint(graph, cx, LAWS)
    }
}
