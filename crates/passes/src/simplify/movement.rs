//! Laws of operators that move elements without changing them.

use tracelift_ir::{
    Broadcast, Builder, Concat, Graph, NodeId, Op, OpKind, Pad, Reshape, Shape, Slice, Transpose,
    TypeError, Value,
};
use tracelift_tensor::{Dim, Scalar};

use crate::{
    Law, Rewrite,
    matching::{elementwise, is_identity, made_by, unary, unit_matched},
};

pub(super) const LAWS: &[(&str, Law)] = &[
    ("move_nothing", move_nothing),
    ("transpose_twice", transpose_twice),
    ("transpose_units", transpose_units),
    ("reshape_twice", reshape_twice),
    ("reshape_transposed", reshape_transposed),
    ("broadcast_twice", broadcast_twice),
    ("broadcast_units", broadcast_units),
    ("broadcast_nothing_new", broadcast_nothing_new),
    ("transpose_broadcast", transpose_broadcast),
    ("reshape_broadcast", reshape_broadcast),
    ("map_broadcasts", map_broadcasts),
    ("map_reshapes", map_reshapes),
    ("slice_twice", slice_twice),
    ("slice_concat", slice_concat),
    ("pad_twice", pad_twice),
    ("concat_flat", concat_flat),
    ("concat_empty", concat_empty),
];

/// A movement that keeps every element in its place is its operand.
fn move_nothing(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let x = *graph.operands(node).first()?;
    let same_shape = || graph.ty(x).shape == graph.node(node).types[0].shape;
    let nothing = match graph.op(node)? {
        Op::Transpose(op) => is_identity(&op.perm),
        Op::Reshape(_) => same_shape(),
        Op::Broadcast(op) => is_identity(&op.axes) && same_shape(),
        Op::Slice(op) => op.strides.iter().all(|&s| s == 1) && same_shape(),
        Op::Pad(op) => {
            let ends = op.low.iter().chain(&op.high).all(|&n| n == 0);
            ends && op.interior.iter().all(|&n| n == 0)
        }
        Op::Concat(_) => graph.operands(node).len() == 1,
        _ => false,
    };
    nothing.then(|| Rewrite::forward(node, x))
}

/// `transpose(transpose(x, p), q) = transpose(x, p ∘ q)`.
fn transpose_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Transpose>(graph, node)?;
    let (inner, x) = made_by::<Transpose>(graph, y)?;
    let perm = outer.perm.iter().map(|&k| inner.perm[k]).collect();
    Some(Rewrite::replace(node, Transpose { perm }, x))
}

/// A transpose that keeps the axes longer than 1 in order is a reshape.
fn transpose_units(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, x) = unary::<Transpose>(graph, node)?;
    let long = op.perm.iter().filter(|&&axis| *graph.ty(x).dim(axis) != 1);
    let shape = graph.node(node).types[0].shape.clone();
    long.is_sorted().then(|| Rewrite::replace(node, Reshape { shape }, [x]))
}

/// `reshape(reshape(x, s), t) = reshape(x, t)`.
fn reshape_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Reshape>(graph, node)?;
    let (_, x) = made_by::<Reshape>(graph, y)?;
    Some(Rewrite::replace(node, outer.clone(), x))
}

/// `reshape(transpose(x, p), s) = transpose(reshape(x, s'), p')` where the reshape only adds and
/// removes axes of extent 1; these come first in `s'`.
fn reshape_transposed(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Reshape>(graph, node)?;
    let (inner, x) = made_by::<Transpose>(graph, y)?;
    let matched = unit_matched(&graph.ty(y).shape, &outer.shape)?;
    // The axes of the result in the order of the new operand: those of extent 1, then the others
    // as they lie in `x`.
    let mut order: Vec<usize> = (0..outer.shape.rank()).collect();
    let source = |axis: &usize| {
        let pair = matched.iter().find(|(_, to)| to == axis);
        pair.map(|&(from, _)| inner.perm[from] + 1).unwrap_or(0)
    };
    order.sort_by_key(source);
    let shape: Shape = order.iter().map(|&a| outer.shape[a].clone()).collect();
    let perm = Transpose { perm: order }.inverse();
    Some(Rewrite::build1(node, move |b| {
        let y = b.op1(Reshape { shape }, &x)?;
        b.op1(Transpose { perm }, &[y])
    }))
}

/// `broadcast(broadcast(x, a), b) = broadcast(x, b ∘ a)`.
fn broadcast_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Broadcast>(graph, node)?;
    let (inner, x) = made_by::<Broadcast>(graph, y)?;
    let axes = inner.axes.iter().map(|&a| outer.axes[a]).collect();
    Some(Rewrite::replace(node, Broadcast { shape: outer.shape.clone(), axes }, x))
}

/// A broadcast needs no axes of extent 1 in its operand.
fn broadcast_units(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, x) = unary::<Broadcast>(graph, node)?;
    let from = graph.ty(x).shape.clone();
    let long: Vec<usize> = (0..from.rank()).filter(|&a| from[a] != 1).collect();
    if long.len() == from.rank() {
        return None;
    }
    let axes = long.iter().map(|&a| op.axes[a]).collect();
    let outer = Broadcast { shape: op.shape.clone(), axes };
    let shape: Shape = long.iter().map(|&a| from[a].clone()).collect();
    Some(Rewrite::build1(node, move |b| {
        let x = b.op1(Reshape { shape }, &[x])?;
        b.op1(outer, &[x])
    }))
}

/// A broadcast that adds only axes of extent 1 is a reshape.
fn broadcast_nothing_new(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, x) = unary::<Broadcast>(graph, node)?;
    unit_matched(&graph.ty(x).shape, &op.shape)?;
    Some(Rewrite::replace(node, Reshape { shape: op.shape.clone() }, [x]))
}

/// `transpose(broadcast(x, a), p) = broadcast(transpose(x, p'), a')`: the smaller one is moved.
fn transpose_broadcast(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Transpose>(graph, node)?;
    let (inner, x) = made_by::<Broadcast>(graph, y)?;
    let to = outer.inverse();
    let mut axes: Vec<(usize, usize)> = inner.axes.iter().map(|&a| to[a]).zip(0..).collect();
    axes.sort_unstable();
    let (axes, perm): (Vec<usize>, Vec<usize>) = axes.into_iter().unzip();
    let shape = graph.node(node).types[0].shape.clone();
    Some(Rewrite::build1(node, move |b| {
        let x = if is_identity(&perm) { x[0] } else { b.op1(Transpose { perm }, &x)? };
        b.op1(Broadcast { shape, axes }, &[x])
    }))
}

/// `reshape(broadcast(x, a), s) = broadcast(x, a')` where the reshape only adds and removes axes of
/// extent 1 and `x` has none.
fn reshape_broadcast(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Reshape>(graph, node)?;
    let (inner, x) = made_by::<Broadcast>(graph, y)?;
    let matched = unit_matched(&inner.shape, &outer.shape)?;
    let to = |axis: &usize| matched.iter().find(|(from, _)| from == axis).map(|&(_, to)| to);
    let axes = inner.axes.iter().map(to).collect::<Option<Vec<usize>>>()?;
    Some(Rewrite::replace(node, Broadcast { shape: outer.shape.clone(), axes }, x))
}

/// `f(broadcast(x, a), broadcast(y, a)) = broadcast(f(x, y), a)`, splats aside.
fn map_broadcasts(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, inner) = moved_alike::<Broadcast>(graph, node)?;
    let outer = outer.clone();
    Some(Rewrite::build1(node, move |b| {
        let y = inner.build(b)?;
        b.op1(outer, &[y])
    }))
}

/// `f(reshape(x, s), reshape(y, s)) = reshape(f(x, y), s)`, splats aside, where the reshapes only
/// add and remove axes of extent 1 and serve elementwise operators only.
fn map_reshapes(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, inner) = moved_alike::<Reshape>(graph, node)?;
    let is_map = |user: &(NodeId, usize)| elementwise(graph, user.0).is_some();
    let for_maps = |v: &Value| {
        let is_result = || graph.results().iter().any(|r| r.value == *v);
        graph.splat(*v).is_some() || (graph.users(*v).iter().all(is_map) && !is_result())
    };
    let harmless = unit_matched(&inner.shape, &outer.shape).is_some();
    if !harmless || !graph.operands(node).iter().all(for_maps) {
        return None;
    }
    let outer = outer.clone();
    Some(Rewrite::build1(node, move |b| {
        let y = inner.build(b)?;
        b.op1(outer, &[y])
    }))
}

/// An elementwise operator on operands before a movement that they have in common.
struct Inner {
    op: Op,
    /// Values, or the numbers that splats repeat.
    operands: Vec<Result<Value, Scalar>>,
    shape: Shape,
}

impl Inner {
    fn build(self, b: &mut Builder<'_>) -> Result<Value, TypeError> {
        let operands = self.operands.into_iter();
        let operands: Vec<Value> = operands
            .map(|v| v.unwrap_or_else(|scalar| b.splat(scalar, self.shape.clone())))
            .collect();
        b.op1(self.op, &operands)
    }
}

/// The movement that every operand of an elementwise node goes through, splats aside.
fn moved_alike<K: OpKind + PartialEq>(graph: &Graph, node: NodeId) -> Option<(&K, Inner)> {
    let (_, values) = elementwise(graph, node)?;
    let mut common: Option<(&K, Shape)> = None;
    let mut operands = Vec::with_capacity(values.len());
    for value in values {
        if let Some(scalar) = graph.splat(value) {
            operands.push(Err(scalar));
            continue;
        }
        let (op, x) = made_by::<K>(graph, value)?;
        let shape = graph.ty(x[0]).shape.clone();
        match &common {
            Some((other, from)) if *other != op || *from != shape => return None,
            _ => common = Some((op, shape)),
        }
        operands.push(Ok(x[0]));
    }
    let (movement, shape) = common?;
    Some((movement, Inner { op: graph.op(node)?.clone(), operands, shape }))
}

/// `slice(slice(x, …), …)` is one slice, where the inner one ascends by 1.
fn slice_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Slice>(graph, node)?;
    let (inner, x) = made_by::<Slice>(graph, y)?;
    if inner.strides.iter().any(|&s| s != 1) {
        return None;
    }
    let shift = |bounds: &[Dim]| bounds.iter().zip(&inner.starts).map(|(a, b)| a + b).collect();
    // A descending slice that ends below element 0 has no end inside `x`'s own numbering.
    let descends = outer.strides.iter().any(|&s| s < 0);
    let op = Slice {
        starts: shift(&outer.starts),
        limits: shift(&outer.limits),
        strides: outer.strides.clone(),
    };
    (!descends).then(|| Rewrite::replace(node, op, x))
}

/// A slice that lies within one part of a concatenation is a slice of that part.
fn slice_concat(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (slice, y) = unary::<Slice>(graph, node)?;
    let (concat, parts) = made_by::<Concat>(graph, y)?;
    let axis = concat.axis;
    let (start, limit) = (slice.starts[axis].as_const()?, slice.limits[axis].as_const()?);
    let mut first = 0;
    for part in parts {
        let end = first + graph.ty(part).dim(axis).as_const()?;
        if slice.strides[axis] > 0 && first <= start && limit <= end && start < limit {
            let mut op = slice.clone();
            op.starts[axis] = Dim::from(start - first);
            op.limits[axis] = Dim::from(limit - first);
            return Some(Rewrite::replace(node, op, [part]));
        }
        first = end;
    }
    None
}

/// `pad(pad(x, a, v), b, v) = pad(x, a + b, v)` without interior and without cropping.
fn pad_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Pad>(graph, node)?;
    let (inner, x) = made_by::<Pad>(graph, y)?;
    let dtype = graph.ty(y).dtype;
    let grows = |op: &Pad| {
        let ends = op.low.iter().chain(&op.high).all(|&n| n >= 0);
        ends && op.interior.iter().all(|&n| n == 0)
    };
    let same = outer.value.to_scalar(dtype) == inner.value.to_scalar(dtype);
    if !(same && grows(outer) && grows(inner)) {
        return None;
    }
    let sum = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a.saturating_add(*b)).collect();
    let (low, high) = (sum(&inner.low, &outer.low), sum(&inner.high, &outer.high));
    Some(Rewrite::replace(node, Pad { low, high, ..outer.clone() }, x))
}

/// `concat(…, concat(x, y), …) = concat(…, x, y, …)` along one axis.
fn concat_flat(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op_as::<Concat>(node)?;
    let operands = graph.operands(node);
    let nested = |v: &Value| match made_by::<Concat>(graph, *v) {
        Some((inner, parts)) if inner == op && graph.use_count(*v) == 1 => Some(parts),
        _ => None,
    };
    if !operands.iter().any(|v| nested(v).is_some()) {
        return None;
    }
    let flat = operands.iter().flat_map(|v| nested(v).unwrap_or_else(|| vec![*v]));
    Some(Rewrite::replace(node, op.clone(), flat.collect::<Vec<_>>()))
}

/// A concatenation does without parts of extent 0, as long as one part remains.
fn concat_empty(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op_as::<Concat>(node)?;
    let operands = graph.operands(node);
    let full = |v: &Value| *graph.ty(*v).dim(op.axis) != 0;
    let kept: Vec<Value> = operands.iter().copied().filter(full).collect();
    let fewer = !kept.is_empty() && kept.len() < operands.len();
    fewer.then(|| Rewrite::replace(node, op.clone(), kept))
}
