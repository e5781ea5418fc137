//! Small questions that laws ask of a graph.

use tracelift_ir::{Graph, NodeId, OpKind, Shape, Value};
use tracelift_scalar::Op as ScalarOp;

use crate::elementwise::scalar_op;

/// The operator that makes a value and its operands, where it is of one kind.
pub(crate) fn made_by<K: OpKind>(graph: &Graph, value: Value) -> Option<(&K, Vec<Value>)> {
    Some((graph.op_as::<K>(value.node)?, graph.operands(value.node)))
}

/// The operator of a node and its only operand, where it is of one kind.
pub(crate) fn unary<K: OpKind>(graph: &Graph, node: NodeId) -> Option<(&K, Value)> {
    Some((graph.op_as::<K>(node)?, *graph.operands(node).first()?))
}

/// The scalar operation and operands of an elementwise node.
pub(crate) fn elementwise(graph: &Graph, node: NodeId) -> Option<(ScalarOp, Vec<Value>)> {
    Some((scalar_op(graph.op(node)?)?, graph.operands(node)))
}

/// The operands of the elementwise node that makes a value, where it applies this operation.
pub(crate) fn applied<const N: usize>(
    graph: &Graph,
    value: Value,
    op: ScalarOp,
) -> Option<[Value; N]> {
    let (found, operands) = elementwise(graph, value.node)?;
    if found == op { operands.try_into().ok() } else { None }
}

/// The result of a node with exactly one.
pub(crate) fn only_result(graph: &Graph, node: NodeId) -> Option<Value> {
    (graph.node(node).types.len() == 1).then_some(Value { node, result: 0 })
}

/// Whether a permutation leaves every axis in its place.
pub(crate) fn is_identity(perm: &[usize]) -> bool {
    perm.iter().enumerate().all(|(k, &axis)| k == axis)
}

/// The axes of two shapes that differ only by axes of extent 1, as pairs of equal extents other
/// than 1 in order; `None` where the shapes differ by more.
pub(crate) fn unit_matched(from: &Shape, to: &Shape) -> Option<Vec<(usize, usize)>> {
    let long = |shape: &Shape| (0..shape.rank()).filter(|&a| shape[a] != 1).collect::<Vec<_>>();
    let (a, b) = (long(from), long(to));
    let equal = a.len() == b.len() && a.iter().zip(&b).all(|(&i, &j)| from[i] == to[j]);
    equal.then(|| a.into_iter().zip(b).collect())
}
