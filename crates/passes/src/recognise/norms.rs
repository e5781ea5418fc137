//! Softmax and the normalisations along rows.

use tracelift_ir::{
    Broadcast, Graph, LayerNorm, Literal, Mul, NodeId, ReduceKind, RmsNorm, Softmax, Value,
};
use tracelift_scalar::Op as ScalarOp;

use super::patterns::{either, mean, number, plus_number, product, spread_along, spread_reduction};
use crate::{
    Law, Rewrite,
    matching::{applied, made_by, only_result},
};

pub(super) const LAWS: &[(&str, Law)] = &[
    ("softmax", softmax),
    ("layer_norm", layer_norm),
    ("rms_norm", rms_norm),
    ("norm_scale", norm_scale),
    ("norm_bias", norm_bias),
];

/// `e^(x − max x) / Σ e^(x − max x) = softmax(x)`.
fn softmax(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let [powers, total] = applied(graph, only_result(graph, node)?, ScalarOp::Div)?;
    let (summed, axes) = spread_reduction(graph, total, ReduceKind::Sum)?;
    let [shifted] = applied(graph, powers, ScalarOp::Exp)?;
    let [x, maximum] = applied(graph, shifted, ScalarOp::Sub)?;
    let (maximised, other_axes) = spread_reduction(graph, maximum, ReduceKind::Max)?;
    let &[axis] = axes.as_slice() else { return None };
    let holds = summed == powers && maximised == x && other_axes == axes;
    holds.then(|| Rewrite::replace(node, Softmax { axis }, [x]))
}

/// A vector divided by its root mean square, `c / √(mean c² + ε)`.
struct Standardised {
    vector: Value,
    axes: Vec<usize>,
    epsilon: f64,
}

/// `c / √(mean c² + ε)`, `c · (1 / √(mean c² + ε))`, the root spread over the vector.
fn standardised(graph: &Graph, value: Value) -> Option<Standardised> {
    let root_of = |v: Value| {
        let (_, x) = made_by::<Broadcast>(graph, v)?;
        let [shifted] = applied(graph, x[0], ScalarOp::Sqrt)?;
        deviation(graph, v, shifted)
    };
    let inverse_of = |v: Value| {
        let (_, x) = made_by::<Broadcast>(graph, v)?;
        let [one, root] = applied(graph, x[0], ScalarOp::Div)?;
        let [shifted] = applied(graph, root, ScalarOp::Sqrt)?;
        deviation(graph, v, shifted).filter(|_| number(graph, one) == Some(1.0))
    };
    let (found, vector) = match applied::<2>(graph, value, ScalarOp::Div) {
        Some([vector, root]) => (root_of(root)?, vector),
        None => either(graph, value, ScalarOp::Mul, inverse_of)?,
    };
    (found.vector == vector).then_some(found)
}

/// `mean c² + ε` for a root spread to the shape of `c` as `spread`.
fn deviation(graph: &Graph, spread: Value, shifted: Value) -> Option<Standardised> {
    let (variance, epsilon) = plus_number(graph, shifted)?;
    let (squares, axes) = mean(graph, variance)?;
    spread_along(graph, spread, &axes)?;
    let squares = product(graph, squares);
    match squares.factors.as_slice() {
        [c, d] if c == d && squares.constant == 1.0 => {
            Some(Standardised { vector: *c, axes, epsilon })
        }
        _ => None,
    }
}

/// The first of the axes, where they are all from there on.
fn first_of_last(axes: &[usize], rank: usize) -> Option<usize> {
    let first = *axes.first()?;
    (first..rank).eq(axes.iter().copied()).then_some(first)
}

/// `(x − mean x) / √(mean (x − mean x)² + ε) = layer_norm(x)`.
fn layer_norm(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let y = standardised(graph, only_result(graph, node)?)?;
    let [x, centre] = applied(graph, y.vector, ScalarOp::Sub)?;
    let (_, inner) = made_by::<Broadcast>(graph, centre)?;
    let (averaged, axes) = mean(graph, inner[0])?;
    spread_along(graph, centre, &axes)?;
    let axis = first_of_last(&axes, graph.ty(x).rank())?;
    let epsilon = Literal::Real(y.epsilon);
    let holds = averaged == x && axes == y.axes;
    holds.then(|| Rewrite::replace(node, LayerNorm { axis, epsilon }, [x]))
}

/// `x / √(mean x² + ε) = rms_norm(x)`, unless `x` is centred and so belongs to a layer norm.
fn rms_norm(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let y = standardised(graph, only_result(graph, node)?)?;
    let axis = first_of_last(&y.axes, graph.ty(y.vector).rank())?;
    let epsilon = Literal::Real(y.epsilon);
    Some(Rewrite::replace(node, RmsNorm { axis, epsilon }, [y.vector]))
}

/// The constant or value that a broadcast repeats along the axes before `axis`.
fn row_parameter(graph: &Graph, value: Value, axis: usize) -> Option<Value> {
    spread_along(graph, value, &(0..axis).collect::<Vec<_>>())
}

/// `norm(x) · scale` is the norm with that scale.
fn norm_scale(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    graph.op_as::<Mul>(node)?;
    let value = only_result(graph, node)?;
    let unscaled = |v: Value| {
        let operands = graph.operands(v.node);
        let axis = graph
            .op_as::<LayerNorm>(v.node)
            .map(|op| op.axis)
            .or_else(|| graph.op_as::<RmsNorm>(v.node).map(|op| op.axis))?;
        let bare = operands.len() == 1 && graph.use_count(v) == 1;
        bare.then(|| (graph.op(v.node).cloned(), axis, operands[0]))
    };
    let ((op, axis, x), scale) = either(graph, value, ScalarOp::Mul, unscaled)?;
    let scale = row_parameter(graph, scale, axis)?;
    Some(Rewrite::replace(node, op?, [x, scale]))
}

/// `layer_norm(x, scale) + bias` is the norm with that bias.
fn norm_bias(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let value = only_result(graph, node)?;
    let unbiased = |v: Value| {
        let (op, operands) = made_by::<LayerNorm>(graph, v)?;
        (operands.len() == 2 && graph.use_count(v) == 1).then(|| (op.clone(), operands))
    };
    let ((op, mut operands), bias) = either(graph, value, ScalarOp::Add, unbiased)?;
    operands.push(row_parameter(graph, bias, op.axis)?);
    Some(Rewrite::replace(node, op, operands))
}
