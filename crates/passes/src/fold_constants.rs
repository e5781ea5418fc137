//! Computes at compile time what depends on constants only.
//!
//! Splats stay splats. A result larger than 1 MiB is made only where it is not much larger than
//! the constants it replaces, so that broadcasts and counters do not become big tables; and what
//! the reference meaning would take too long to compute is left for the program.

use tracelift_ir::{
    ConstantData, Conv, ConvLayout, Graph, NodeId, Op, Provenance, Role, Structure, TensorType,
    Transpose, Value,
};
use tracelift_tensor::{Scalar, Tensor};

use crate::{
    Changed, Law, Pass, PassCx, PassError, Rewrite,
    elementwise::scalar_op,
    evaluate::{element_count, evaluate},
    rewrite_to_fixpoint,
};

/// Results up to this size are always worth having.
pub(crate) const SMALL_BYTES: usize = 1 << 20;
/// Weights up to this size are cheap to transpose.
const CHEAP_BYTES: usize = 1 << 16;

/// The pass `fold_constants`.
pub struct FoldConstants;

pub(crate) const LAWS: &[(&str, Law)] = &[("splat", splat), ("evaluate", fold)];

/// An operator that gives equal elements for equal elements maps splats to a splat.
fn splat(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op(node)?;
    let operands = graph.operands(node);
    let splats: Vec<Scalar> = operands.iter().map(|v| graph.splat(*v)).collect::<Option<_>>()?;
    let value = match (scalar_op(op), splats.as_slice()) {
        (_, []) => return None,
        (Some(op), _) => op.eval(&splats),
        (None, [first, rest @ ..]) => {
            let moves = moves_only(op, &graph.operand_types(node), *first);
            (moves && rest.iter().all(|s| s == first)).then_some(*first)?
        }
    };
    let ty = graph.node(node).types[0].clone();
    Some(Rewrite::build1(node, move |b| Ok(b.splat(value, ty.shape))))
}

/// Whether every element of the result is one of an operand or equal to `value`.
fn moves_only(op: &Op, operands: &[TensorType], value: Scalar) -> bool {
    if matches!(op, Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Concat(_)) {
        return true;
    }
    let known = operands.iter().all(|ty| ty.shape.as_consts().is_some());
    match op.role() {
        Role::Primitive(primitive) if known => match primitive.structure(operands) {
            Structure::Move(movement) => movement.fill.is_none_or(|fill| fill == value),
            _ => false,
        },
        _ => false,
    }
}

/// `op(constants…)` is the constant that evaluation gives.
fn fold(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let op = graph.op(node)?;
    let types = &graph.node(node).types;
    let stays =
        matches!(op, Op::Broadcast(_)) || is_packed_anyway(graph, node) || only_counts(graph, node);
    if stays || !is_affordable(graph, node, types) {
        return None;
    }
    let operands = graph.operands(node);
    let elementwise = scalar_op(op).is_some();
    let known = |v: &Value| graph.constant_tensor(*v).or_else(|| spread(graph, *v, elementwise));
    let tensors: Vec<Tensor> = operands.iter().map(known).collect::<Option<_>>()?;
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    let results = evaluate(op, &tensors, types)?;
    let from = sources(graph, &operands);
    Some(Rewrite::build(node, move |b| {
        let values = results.into_iter().map(|tensor| {
            let value = match tensor.as_splat() {
                Some(scalar) => b.splat(scalar, tensor.shape()),
                None => b.constant(tensor),
            };
            b.graph_mut().add_provenance(value.node, &from);
            value
        });
        Ok(values.collect())
    }))
}

/// Whether a node has no operands and nothing that uses it could be folded with it: it is computed
/// as fast as it would be read.
fn only_counts(graph: &Graph, node: NodeId) -> bool {
    let is_counter = |node: NodeId| graph.op(node).is_some() && graph.operands(node).is_empty();
    let is_known = |v: &Value| stored(graph, *v).is_some() || is_counter(v.node);
    let users = graph.users(Value { node, result: 0 });
    let folds = |user: NodeId| graph.operands(user).iter().all(is_known);
    let is_used = !users.is_empty() && users.len() == graph.use_count(Value { node, result: 0 });
    is_counter(node) && is_used && !users.iter().any(|(user, _)| folds(*user))
}

/// Whether a node only transposes the weights of convolutions: lowering packs these for its
/// kernels and follows the transpose while it does so.
fn is_packed_anyway(graph: &Graph, node: NodeId) -> bool {
    let types = &graph.node(node).types;
    let size_bytes = || element_count(&types[0]).saturating_mul(types[0].dtype.size_bytes());
    if graph.op_as::<Transpose>(node).is_none() || size_bytes() <= CHEAP_BYTES {
        return false;
    }
    let value = Value { node, result: 0 };
    let users = graph.users(value);
    let is_weight = |&(user, operand): &(NodeId, usize)| {
        graph.op_as::<Conv>(user).is_some_and(|conv| {
            operand == 1 && conv.groups == 1 && conv.layout == ConvLayout::ChannelsLast
        })
    };
    !users.is_empty() && users.len() == graph.use_count(value) && users.iter().all(is_weight)
}

/// Whether the operands are constants, and the results not too large beside them.
fn is_affordable(graph: &Graph, node: NodeId, types: &[TensorType]) -> bool {
    let bytes = |ty: &TensorType| element_count(ty).saturating_mul(ty.dtype.size_bytes());
    let made = types.iter().map(bytes).fold(0, usize::saturating_add);
    let mut held = 0usize;
    for operand in graph.operands(node) {
        match stored(graph, operand) {
            Some(value) => match &graph.constant(value).map(|c| &c.data) {
                Some(ConstantData::Dense(tensor)) => held += tensor.bytes().len(),
                _ => held += 8,
            },
            None => return false,
        }
    }
    made != usize::MAX && (made <= SMALL_BYTES || made <= held.saturating_add(held / 2))
}

/// The constant that a value is or repeats.
fn stored(graph: &Graph, value: Value) -> Option<Value> {
    if graph.constant(value).is_some() {
        return Some(value);
    }
    graph.op_as::<tracelift_ir::Broadcast>(value.node)?;
    let source = graph.operands(value.node)[0];
    graph.constant(source).map(|_| source)
}

/// The elements of a broadcast constant; only elementwise operators look through broadcasts.
fn spread(graph: &Graph, value: Value, elementwise: bool) -> Option<Tensor> {
    let source = stored(graph, value).filter(|_| elementwise)?;
    let tensor = graph.constant_tensor(source)?;
    let op = graph.op(value.node)?;
    evaluate(op, &[&tensor], &graph.node(value.node).types)?.pop()
}

/// Where the constants came from, parameters above all.
fn sources(graph: &Graph, operands: &[Value]) -> Provenance {
    let mut from = Provenance::default();
    for value in operands.iter().filter_map(|v| stored(graph, *v)) {
        from.merge(&graph.node(value.node).provenance);
    }
    from
}

impl Pass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold_constants"
    }

    fn run(&self, graph: &mut Graph, cx: &mut PassCx) -> Result<Changed, PassError> {
        rewrite_to_fixpoint(graph, cx, LAWS)
    }
}
