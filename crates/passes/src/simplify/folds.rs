//! Laws of reductions and contractions.

use tracelift_ir::{
    Contract, Graph, Letters, NodeId, Reduce, ReduceKind, Reshape, Transpose, Value,
};

use crate::{
    Law, Rewrite,
    matching::{made_by, unary},
};

pub(super) const LAWS: &[(&str, Law)] = &[
    ("reduce_nothing", reduce_nothing),
    ("reduce_twice", reduce_twice),
    ("contract_transposed", contract_transposed),
    ("transpose_contract", transpose_contract),
];

/// Whether a reduction of one element is that element: a float sum starts from 0 and so turns −0
/// into 0.
fn keeps_single(kind: ReduceKind, is_float: bool) -> bool {
    kind != ReduceKind::Sum || !is_float
}

/// A reduction over axes of extent 1 is a reshape; over no axes it is nothing.
fn reduce_nothing(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, x) = unary::<Reduce>(graph, node)?;
    let ty = graph.ty(x);
    let single = op.axes.iter().all(|&axis| *ty.dim(axis) == 1);
    let shape = graph.node(node).types[0].shape.clone();
    let holds = single && keeps_single(op.kind, ty.dtype.is_float());
    holds.then(|| Rewrite::replace(node, Reshape { shape }, [x]))
}

/// `reduce(reduce(x, a), b) = reduce(x, a ∪ b)` where regrouping changes no bit.
fn reduce_twice(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (outer, y) = unary::<Reduce>(graph, node)?;
    let (inner, x) = made_by::<Reduce>(graph, y)?;
    let limits = matches!(outer.kind, ReduceKind::Max | ReduceKind::Min);
    let exact = limits || !graph.ty(y).dtype.is_float();
    if inner.kind != outer.kind || !exact || graph.use_count(y) > 1 {
        return None;
    }
    let kept: Vec<usize> =
        (0..graph.ty(x[0]).rank()).filter(|axis| !inner.axes.contains(axis)).collect();
    let mut axes = inner.axes.clone();
    axes.extend(outer.axes.iter().map(|&axis| kept[axis]));
    axes.sort_unstable();
    Some(Rewrite::replace(node, Reduce { kind: outer.kind, axes }, x))
}

/// The text of letters.
fn spec_of(letters: &Letters) -> String {
    let text = |list: &[char]| list.iter().collect::<String>();
    let [lhs, rhs] = &letters.operands;
    format!("{}, {} -> {}", text(lhs), text(rhs), text(&letters.result))
}

/// `contract(transpose(x), y)` is a contraction of `x` and `y` with the letters in `x`'s order,
/// where the order of the sums stays.
fn contract_transposed(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let before = graph.op_as::<Contract>(node)?.letters().ok()?;
    let mut letters = before.clone();
    let mut operands = graph.operands(node);
    let mut changed = false;
    for (operand, list) in operands.iter_mut().zip(&mut letters.operands) {
        let Some((op, x)) = made_by::<Transpose>(graph, *operand) else { continue };
        *list = op.inverse().into_iter().map(|k| list[k]).collect();
        *operand = x[0];
        changed = true;
    }
    let same_order = letters.summed() == before.summed();
    let spec = spec_of(&letters);
    (changed && same_order).then(|| Rewrite::replace(node, Contract { spec }, operands))
}

/// `transpose(contract(x, y))` is a contraction with the letters of its result reordered, unless rows
/// of weights would end up apart: a product is best computed along these, and the transpose may yet
/// meet its inverse.
fn transpose_contract(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, y) = unary::<Transpose>(graph, node)?;
    let (contract, operands): (_, Vec<Value>) = made_by::<Contract>(graph, y)?;
    let mut letters = contract.letters().ok()?;
    let is_of_weights = |letter: &char| {
        let own = operands.iter().zip(&letters.operands).filter(|(_, list)| list.contains(letter));
        own.map(|(v, _)| v).all(|v| is_constant(graph, *v))
    };
    let before = letters.result.last().is_some_and(is_of_weights);
    let result: Vec<char> = op.perm.iter().map(|&axis| letters.result[axis]).collect();
    let after = result.last().is_some_and(is_of_weights);
    let sole = graph.use_count(y) == 1;
    letters.result = result;
    let spec = spec_of(&letters);
    (sole && (after || !before)).then(|| Rewrite::replace(node, Contract { spec }, operands))
}

/// Whether a value is a constant, transposed perhaps.
fn is_constant(graph: &Graph, value: Value) -> bool {
    let source = made_by::<Transpose>(graph, value).map_or(value, |(_, x)| x[0]);
    graph.constant(source).is_some()
}
