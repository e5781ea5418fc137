//! Laws of elementwise operators; every one keeps each bit of the result.

use tracelift_ir::{Cast, Graph, Max, Min, NodeId, Op, Select, Value};
use tracelift_scalar::Op as ScalarOp;
use tracelift_tensor::{DType, Scalar};

use crate::{
    Law, Rewrite,
    matching::{applied, elementwise},
};

pub(super) const LAWS: &[(&str, Law)] = &[
    ("neutral", neutral),
    ("absorbing", absorbing),
    ("idempotent", idempotent),
    ("involution", involution),
    ("unsigned_abs", unsigned_abs),
    ("whole", whole),
    ("add_negated", add_negated),
    ("select_known", select_known),
    ("select_negated", select_negated),
    ("merge_limits", merge_limits),
    ("merge_integers", merge_integers),
    ("cast_nothing", cast_nothing),
    ("cast_chain", cast_chain),
];

/// The constant `e` with `x op e = x` for every `x`, NaN and −0 included.
fn right_neutral(op: ScalarOp, dtype: DType) -> Option<Scalar> {
    Some(match op {
        // −0 + 0 is 0, so that 0 is not neutral among floats, but −0 is.
        ScalarOp::Add if dtype.is_float() => Scalar::from_f64(dtype, -0.0),
        ScalarOp::Add | ScalarOp::Sub | ScalarOp::Or | ScalarOp::Xor => Scalar::zero(dtype),
        ScalarOp::Shl | ScalarOp::Shr => Scalar::zero(dtype),
        ScalarOp::Mul | ScalarOp::Div | ScalarOp::Pow => Scalar::one(dtype),
        ScalarOp::Max => Scalar::lowest(dtype),
        ScalarOp::Min => Scalar::highest(dtype),
        ScalarOp::And => Scalar::from_bits(dtype, u64::MAX),
        _ => return None,
    })
}

/// `x op e = x`, and `e op x = x` where the operation commutes.
fn neutral(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let &[x, y] = operands.as_slice() else { return None };
    let neutral = Some(right_neutral(op, graph.ty(x).dtype)?);
    let commutes = op.is_commutative() || matches!(op, ScalarOp::Max | ScalarOp::Min);
    if graph.splat(y) == neutral {
        Some(Rewrite::forward(node, x))
    } else if commutes && graph.splat(x) == neutral {
        Some(Rewrite::forward(node, y))
    } else {
        None
    }
}

/// `x and 0 = 0`, `x or 1… = 1…`, `x · 0 = 0` for integers.
fn absorbing(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let dtype = graph.ty(*operands.first()?).dtype;
    let absorbing = match op {
        ScalarOp::And => Scalar::zero(dtype),
        ScalarOp::Mul if dtype.is_int() => Scalar::zero(dtype),
        ScalarOp::Or => Scalar::from_bits(dtype, u64::MAX),
        _ => return None,
    };
    let found = operands.into_iter().find(|v| graph.splat(*v) == Some(absorbing))?;
    Some(Rewrite::forward(node, found))
}

/// `x op x = x` for max, min, and, or.
fn idempotent(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let holds = matches!(op, ScalarOp::Max | ScalarOp::Min | ScalarOp::And | ScalarOp::Or);
    match operands.as_slice() {
        [x, y] if holds && x == y => Some(Rewrite::forward(node, *x)),
        _ => None,
    }
}

/// `−(−x) = x`, `not not x = x`.
fn involution(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    if !matches!(op, ScalarOp::Neg | ScalarOp::Not) {
        return None;
    }
    let [x] = applied(graph, operands[0], op)?;
    Some(Rewrite::forward(node, x))
}

/// `||x|| = |x|`; `|−x| = |x|` for signed numbers, an unsigned `−x` wrapping to another number.
fn unsigned_abs(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    if op != ScalarOp::Abs {
        return None;
    }
    if applied::<1>(graph, operands[0], ScalarOp::Abs).is_some() {
        return Some(Rewrite::forward(node, operands[0]));
    }
    let dtype = graph.ty(operands[0]).dtype;
    let signed = dtype.is_float() || dtype.is_signed_int();
    let [x] = applied(graph, operands[0], ScalarOp::Neg).filter(|_| signed)?;
    Some(Rewrite::replace(node, graph.op(node)?.clone(), [x]))
}

/// A rounded number is its own floor, ceiling, nearest integer and integer part.
fn whole(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let rounds = [ScalarOp::Floor, ScalarOp::Ceil, ScalarOp::Round, ScalarOp::Trunc];
    let (op, operands) = elementwise(graph, node)?;
    let inner = rounds.contains(&op).then(|| elementwise(graph, operands[0].node)).flatten()?;
    rounds.contains(&inner.0).then(|| Rewrite::forward(node, operands[0]))
}

/// `x + (−y) = x − y`, `(−x) + y = y − x`, `x − (−y) = x + y`.
fn add_negated(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let &[x, y] = operands.as_slice() else { return None };
    let negated = |v| applied::<1>(graph, v, ScalarOp::Neg).map(|[v]| v);
    let (op, operands): (Op, [Value; 2]) = match op {
        ScalarOp::Add => match (negated(x), negated(y)) {
            (_, Some(y)) => (tracelift_ir::Sub {}.into(), [x, y]),
            (Some(x), None) => (tracelift_ir::Sub {}.into(), [y, x]),
            (None, None) => return None,
        },
        ScalarOp::Sub => (tracelift_ir::Add {}.into(), [x, negated(y)?]),
        _ => return None,
    };
    Some(Rewrite::replace(node, op, operands))
}

/// `select(true, a, b) = a`, `select(false, a, b) = b`, `select(c, a, a) = a`.
fn select_known(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    graph.op_as::<Select>(node)?;
    let [condition, a, b] = graph.operands(node).try_into().ok()?;
    match graph.splat(condition) {
        Some(Scalar::Bool(true)) => Some(Rewrite::forward(node, a)),
        Some(Scalar::Bool(false)) => Some(Rewrite::forward(node, b)),
        _ => (a == b).then(|| Rewrite::forward(node, a)),
    }
}

/// `select(not c, a, b) = select(c, b, a)`.
fn select_negated(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    graph.op_as::<Select>(node)?;
    let [condition, a, b] = graph.operands(node).try_into().ok()?;
    let [inner] = applied(graph, condition, ScalarOp::Not)?;
    Some(Rewrite::replace(node, Select {}, [inner, b, a]))
}

/// `max(max(x, a), b) = max(x, max(a, b))` for constants `a` and `b`; the same for min.
///
/// The first of equal operands wins on both sides, so that signed zeros agree.
fn merge_limits(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let outer: Op = match op {
        ScalarOp::Max => Max {}.into(),
        ScalarOp::Min => Min {}.into(),
        _ => return None,
    };
    let b = graph.splat(operands[1])?;
    let [x, a] = applied(graph, operands[0], op)?;
    merge(graph, node, outer, op, x, [graph.splat(a)?, b])
}

/// `(x + a) + b = x + (a + b)` and `(x · a) · b = x · (a · b)` for constant integers `a`, `b`.
fn merge_integers(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let (op, operands) = elementwise(graph, node)?;
    let associative = matches!(op, ScalarOp::Add | ScalarOp::Mul);
    if !associative || !graph.ty(operands[0]).dtype.is_int() {
        return None;
    }
    let b = graph.splat(operands[1])?;
    let [x, a] = applied(graph, operands[0], op)?;
    merge(graph, node, graph.op(node)?.clone(), op, x, [graph.splat(a)?, b])
}

fn merge(
    graph: &Graph,
    node: NodeId,
    outer: Op,
    op: ScalarOp,
    x: Value,
    constants: [Scalar; 2],
) -> Option<Rewrite> {
    let merged = op.eval(&constants);
    let shape = graph.ty(x).shape.clone();
    Some(Rewrite::build1(node, move |b| {
        let merged = b.splat(merged, shape);
        b.op1(outer, &[x, merged])
    }))
}

/// A cast to the operand's dtype does nothing.
fn cast_nothing(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let cast = graph.op_as::<Cast>(node)?;
    let x = graph.operands(node)[0];
    (graph.ty(x).dtype == cast.to).then(|| Rewrite::forward(node, x))
}

/// `cast(cast(x, wide), to) = cast(x, to)` where the first cast loses nothing.
fn cast_chain(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    let to = graph.op_as::<Cast>(node)?.to;
    let inner = graph.operands(node)[0];
    let wide = graph.op_as::<Cast>(inner.node)?.to;
    let x = graph.operands(inner.node)[0];
    let from = graph.ty(x).dtype;
    // Out of range, floats saturate and integers wrap, so a detour from integers over floats must
    // not end in integers that may be out of range.
    let same_kind = from.is_float() == wide.is_float();
    let safe = same_kind || to.is_float() || to == DType::Bool || holds_all(to, from);
    let lossless = holds_all(wide, from) && safe;
    lossless.then(|| Rewrite::replace(node, Cast { to }, [x]))
}

/// Whether every number of dtype `narrow` is one of dtype `wide`.
fn holds_all(wide: DType, narrow: DType) -> bool {
    let bits = |dtype: DType| 8 * dtype.size_bytes() as u32;
    if wide == narrow || narrow == DType::Bool {
        return true;
    }
    match (wide, narrow) {
        (DType::Bool, _) => false,
        (wide, narrow) if wide.is_float() && narrow.is_float() => bits(wide) >= bits(narrow),
        (_, narrow) if narrow.is_float() => false,
        (wide, narrow) if wide.is_float() => {
            bits(narrow) <= if wide == DType::F32 { 16 } else { 32 }
        }
        (wide, narrow) if wide.is_signed_int() == narrow.is_signed_int() => {
            bits(wide) >= bits(narrow)
        }
        (wide, narrow) => wide.is_signed_int() && bits(wide) > bits(narrow),
    }
}
