//! Attention between contractions.

use tracelift_ir::{
    Attention, ConstantData, Contract, Graph, Letters, Literal, NodeId, Op, Softmax, Transpose,
    Value,
};
use tracelift_scalar::Op as ScalarOp;

use super::patterns::number;
use crate::{
    Law, Rewrite,
    matching::{applied, elementwise, made_by},
};

pub(super) const LAWS: &[(&str, Law)] = &[("attention", attention)];

/// The logits `q · kᵀ · scale`, as letters of a contraction.
struct Logits {
    /// The operands and the order that brings them to batch, head, row, column.
    q: (Value, Vec<usize>),
    k: (Value, Vec<usize>),
    scale: f64,
    mask: Option<Value>,
}

/// `softmax(q · kᵀ · scale + mask) · v = attention(q, k, v, mask)`.
///
/// Exporters guard rows without any key by `select(is_nan(p), 0, p)`; `attention` gives zeros there
/// as well, but shows a NaN among the logits, which the guard hides.
fn attention(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let letters = graph.op_as::<Contract>(node)?.letters().ok()?;
    let [a, b] = graph.operands(node).try_into().ok()?;
    let sides = [(a, b, 0, 1), (b, a, 1, 0)];
    sides.into_iter().find_map(|(probabilities, v, p_side, v_side)| {
        let (scores, guarded) = unguarded(graph, probabilities);
        let (softmax, x) = made_by::<Softmax>(graph, scores)?;
        let logits = logits(graph, x[0])?;
        let p_letters = &letters.operands[p_side];
        let &[batch, head, row, key] = p_letters.as_slice() else { return None };
        // A row without keys is zero here and NaN there, unless it is guarded or cannot be.
        let hides = logits.mask.is_none_or(|mask| guarded || is_finite(graph, mask));
        let fits = softmax.axis == 3 && hides && (logits.mask.is_some() || !guarded);
        let width = only_in(&letters, v_side)?;
        let summed = letters.summed() == [key];
        let v_order = order_of(&letters.operands[v_side], &[batch, head, key, width])?;
        let result = order_of(&[batch, head, row, width], &letters.result)?;
        (fits && summed).then(|| build(node, logits, (v, v_order), result))
    })
}

fn build(node: NodeId, logits: Logits, v: (Value, Vec<usize>), result: Vec<usize>) -> Rewrite {
    Rewrite::build1(node, move |b| {
        let mut operands = Vec::new();
        for (value, perm) in [logits.q, logits.k, v] {
            operands.push(b.op1(Transpose { perm }, &[value])?);
        }
        operands.extend(logits.mask);
        let op = Attention { scale: Literal::Real(logits.scale), causal: false };
        let y = b.op1(op, &operands)?;
        b.op1(Transpose { perm: result }, &[y])
    })
}

/// The value inside `select(is_nan(p), 0, p)`, and whether it is inside one.
fn unguarded(graph: &Graph, value: Value) -> (Value, bool) {
    let inside = || {
        let [condition, zero, p] = applied(graph, value, ScalarOp::Select)?;
        let [tested] = applied(graph, condition, ScalarOp::IsNan)?;
        (tested == p && number(graph, zero) == Some(0.0)).then_some(p)
    };
    inside().map_or((value, false), |p| (p, true))
}

/// The letter of one operand that the other does not have.
fn only_in(letters: &Letters, side: usize) -> Option<char> {
    let other = &letters.operands[1 - side];
    let mut own = letters.operands[side].iter().filter(|c| !other.contains(c));
    own.next().copied().filter(|_| own.next().is_none())
}

/// The transpose that brings axes named `from` into the order `to`.
fn order_of(from: &[char], to: &[char]) -> Option<Vec<usize>> {
    let place = |c: &char| from.iter().position(|f| f == c);
    if from.len() == to.len() { to.iter().map(place).collect() } else { None }
}

/// Takes scaled and masked logits apart; result axes are batch, head, query, key.
fn logits(graph: &Graph, value: Value) -> Option<Logits> {
    let (scaled, mask) = match applied::<2>(graph, value, ScalarOp::Add) {
        Some([x, y]) if is_logits(graph, x) => (x, Some(y)),
        Some([x, y]) if is_logits(graph, y) => (y, Some(x)),
        Some(_) => return None,
        None => (value, None),
    };
    let (product, mut scale) = unscaled(graph, scaled);
    let (op, operands) = made_by::<Contract>(graph, product)?;
    let letters = op.letters().ok()?;
    let &[batch, head, query, key] = letters.result.as_slice() else { return None };
    let q_side = (0..2).find(|&k| letters.operands[k].contains(&query))?;
    let &[width] = letters.summed().as_slice() else { return None };
    let q_order = order_of(&letters.operands[q_side], &[batch, head, query, width])?;
    let k_order = order_of(&letters.operands[1 - q_side], &[batch, head, key, width])?;
    let mut sides = operands.into_iter().map(|v| {
        let (inner, factor) = unscaled(graph, v);
        scale *= factor;
        inner
    });
    let (a, b) = (sides.next()?, sides.next()?);
    drop(sides);
    let (q, k) = if q_side == 0 { (a, b) } else { (b, a) };
    Some(Logits { q: (q, q_order), k: (k, k_order), scale, mask })
}

fn is_logits(graph: &Graph, value: Value) -> bool {
    graph.op_as::<Contract>(unscaled(graph, value).0.node).is_some()
}

/// The value before multiplications and divisions by numbers, and their product.
fn unscaled(graph: &Graph, value: Value) -> (Value, f64) {
    let (mut value, mut scale) = (value, 1.0);
    while let Some((op, operands)) = elementwise(graph, value.node) {
        let &[x, y] = operands.as_slice() else { break };
        match (op, number(graph, x), number(graph, y)) {
            (ScalarOp::Mul, _, Some(c)) => (value, scale) = (x, scale * c),
            (ScalarOp::Mul, Some(c), _) => (value, scale) = (y, scale * c),
            (ScalarOp::Div, _, Some(c)) => (value, scale) = (x, scale / c),
            _ => break,
        }
    }
    (value, scale)
}

/// Whether a mask is known to hold neither an infinity nor a NaN.
fn is_finite(graph: &Graph, mask: Value) -> bool {
    if let Some(constant) = graph.constant(mask) {
        return match &constant.data {
            ConstantData::Splat(scalar) => scalar.to_f64().is_finite(),
            ConstantData::Dense(tensor) => tensor.iter().all(|x| x.to_f64().is_finite()),
        };
    }
    if let Some(Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_)) = graph.op(mask.node) {
        return is_finite(graph, graph.operands(mask.node)[0]);
    }
    match elementwise(graph, mask.node) {
        Some((ScalarOp::Select, arms)) => arms[1..].iter().all(|v| is_finite(graph, *v)),
        Some((ScalarOp::Cast(_), x)) => !graph.ty(x[0]).dtype.is_float(),
        // A difference or product of small numbers: what `(1 − mask) · −10000` is made of.
        Some((ScalarOp::Sub | ScalarOp::Mul, x)) => x.iter().all(|v| is_small(graph, *v)),
        _ => false,
    }
}

/// Whether every element lies within ±10¹⁸, so that sums and products with another such stay finite.
fn is_small(graph: &Graph, value: Value) -> bool {
    if let Some(number) = number(graph, value) {
        return number.abs() <= 1e18;
    }
    match elementwise(graph, value.node) {
        Some((ScalarOp::Cast(_), x)) => graph.ty(x[0]).dtype == tracelift_tensor::DType::Bool,
        Some((ScalarOp::Sub, x)) => x.iter().all(|v| is_small(graph, *v)),
        _ => false,
    }
}
